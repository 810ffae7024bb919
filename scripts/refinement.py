"""The front of refined latents beside noise, interpolation, and noise whose weights are refined.

`python scripts/refinement.py --images FOLDER --tokens FOLDER --model FOLDER [--draws 3]`

The folders are those of a `sane run` on one zoo of networks without batch norms. Everything keeps
the best 10 of 200 by validation accuracy. The control puts noise on prompts' weights and takes the
same number of Adam steps on as many of the same kind of images towards the same target, on the
weights themselves; its learning rate may be given, so that its best one can be looked for. Points
are printed as they come, gaps for what has been measured so far, so that it may be stopped at any
time.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sharpening import tell
from torch.nn import functional

from sane_core.generation.baselines import with_noise
from sane_core.generation.candidates import Weights
from sane_core.generation.front import FrontPoint, sweep
from sane_core.generation.front_gap import Point, front_gap
from sane_core.generation.material import Material, Sources, open_material
from sane_core.generation.novelty import error_overlap
from sane_core.generation.refine import images_of_steps
from sane_core.generation.refine_target import Refining, answers_of_prompts, loss_towards
from sane_core.generation.rows import gap_metrics
from sane_core.seeding import rng_for
from sane_core.zoo.population.score import logits, stack
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.refine import RefineConfig, RefineTarget
from schemas.config.samplers import Distribution, SamplerConfig
from schemas.config.training import TrainingConfig

SPREADS = {
    0: (0.1, 0.3, 0.5, 0.7, 1.0),
    10: (0.3, 0.5, 0.7, 1.0),
    40: (0.7, 1.0, 1.5),
    100: (1.0, 1.5, 2.5),
}
"""Steps -> spreads that are swept: more steps come back from further away."""
RATES = {10: 0.1, 40: 0.05, 100: 0.05}
"""Steps -> Adam's learning rate, in std of the latents."""
NOISE = (0.3, 0.6, 1.0)
"""Sizes of the noise on weights that are then trained."""
OWN_RATES = {10: 0.01, 40: 0.003, 100: 0.003}
"""Steps -> learning rate of the control."""
PLAN = (
    ("latents", "model", 0, None),
    ("latents", "model", 10, "labels"),
    ("weights", "noise", 10, "labels"),
    ("latents", "model", 40, "ensemble"),
    ("weights", "noise", 40, "ensemble"),
    ("latents", "model", 40, "labels"),
    ("weights", "noise", 40, "labels"),
    ("latents", "model", 10, "ensemble"),
    ("weights", "noise", 10, "ensemble"),
    ("latents", "model", 100, "labels"),
    ("weights", "noise", 100, "labels"),
    ("latents", "shared_noise", 10, "labels"),
    ("latents", "shared_noise", 0, None),
    ("latents", "shared_noise", 40, "ensemble"),
    ("latents", "shared_noise", 40, "labels"),
)
"""Where steps are taken, around what, how many, towards what."""


def main() -> None:
    """Print points and gaps."""
    asked = _arguments()
    sources = Sources(asked.images, asked.tokens, asked.model)
    config = GenerateConfig(seeds=asked.draws, candidates=asked.candidates, keep=10)
    epochs = range(asked.epochs + 1)
    given = open_material(sources, epochs, config, EmbedConfig(), asked.seed, TrainingConfig())
    unswept = config.model_copy(update={"samplers": (SamplerConfig(name="none"),)})
    points = _measure(given, unswept, asked.seed)
    for place, around, steps, target in PLAN:
        name = "_".join((place, around, str(steps), target or "none"))
        if not name.startswith(tuple(asked.only)):
            continue
        begun = time.perf_counter()
        if place == "latents":
            rate = asked.rate or RATES.get(steps)
            once = _swept(config, name, around, (steps, target, rate))
            found = _measure(given, once, asked.seed)
        else:
            found = _control(name, given, config, (steps, target), asked.rates, asked.seed)
        points += found
        seconds = (time.perf_counter() - begun) / max(1, len(found))
        print(f"{name}: {seconds:.1f} s a point", flush=True)
        gaps = gap_metrics(points)
        for key in (key for key in gaps if name in key):
            print(f"{key:56s} {100 * gaps[key]:6.2f}", flush=True)
        _tell_advantage(points, steps, target)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("images", "tokens", "model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=50, help="last epoch of the zoo")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=["latents", "weights"], help="how names begin")
    parser.add_argument("--rate", type=float, help="of latents, for all steps")
    parser.add_argument("--rates", type=float, nargs="+", help="of the control, for all steps")
    return parser.parse_args()


def _swept(
    config: GenerateConfig,
    name: str,
    coupling: Distribution,
    way: tuple[int, RefineTarget | None, float | None],
) -> GenerateConfig:
    """Return the sweep of one sampler alone."""
    steps, target, rate = way
    refine = RefineConfig(steps=steps, learning_rate=rate, target=target) if steps else None
    sampler = SamplerConfig(name=name, distribution=coupling, sweep=SPREADS[steps], refine=refine)
    alone = {"samplers": (sampler,), "noise_sizes": (), "interpolations": ()}
    return config.model_copy(update=alone)


def _measure(given: Material, config: GenerateConfig, seed: int) -> list[FrontPoint]:
    test = given.images["test"]
    points = sweep(given.decoders, given.prompts, test, given.wrong, config, seed)
    for sampler, knob in dict.fromkeys((point.sampler, point.knob) for point in points):
        tell(sampler, knob, [p for p in points if (p.sampler, p.knob) == (sampler, knob)])
    return points


def _control(
    name: str,
    given: Material,
    config: GenerateConfig,
    way: tuple[int, RefineTarget],
    rates: list[float] | None,
    seed: int,
) -> list[FrontPoint]:
    """Sweep noise on weights that are then trained for some steps."""
    steps, target = way
    points: list[FrontPoint] = []
    for rate in rates or (OWN_RATES[steps],):
        refine = RefineConfig(steps=steps, learning_rate=rate, target=target)
        for size in NOISE:
            found = [_point(given, config, refine, size, (seed, i)) for i in range(config.seeds)]
            found = [replace(point, sampler=f"{name}_{rate:g}") for point in found]
            tell(found[0].sampler, size, found)
            points += found
    return points


def _point(
    given: Material, config: GenerateConfig, refine: RefineConfig, size: float, seed: tuple
) -> FrontPoint:
    generator, rng = given.decoders["sane"].generator, rng_for(seed[0], "control", size, seed[1])
    noisy = with_noise(given.prompts.weights, generator.layers, size, config.candidates, rng)
    models = _trained(given, noisy, refine, rng)
    kept = generator.select(models, np.full(config.candidates, -1), config.keep)
    correct = generator.correct(kept.weights, given.images["test"])
    overlap = float(error_overlap(~correct, given.wrong).mean())
    candidates = float(kept.candidate_accuracy.mean())
    return FrontPoint("", size, seed[1], float(correct.mean()), overlap, candidates)


def _trained(
    given: Material, weights: Weights, config: RefineConfig, rng: np.random.Generator
) -> Weights:
    """Take Adam's steps on weights, as refinement does on latents."""
    architecture, images = given.architecture, given.images["train"]
    start = {name: weights[name] for name in architecture.shapes()}
    device = given.generator.device
    population = {name: v.to(device) for name, v in stack(architecture, start).items()}
    leaves = {name: v.clone().requires_grad_() for name, v in population.items()}
    optimizer = torch.optim.Adam(leaves.values(), lr=config.learning_rate)
    refining = Refining(images, given.prompts.weights)
    for chosen in images_of_steps(len(images), config, rng):
        pixels = torch.from_numpy(images.numbers(chosen)).to(device)
        labels, known = torch.tensor(images.labels[chosen], device=device), None
        if config.target != "labels":
            known = answers_of_prompts(refining, architecture, pixels, 100)
        loss = loss_towards(config.target, labels, known, np.empty(0, np.int64))
        answers = functional.log_softmax(logits(architecture, leaves, pixels), dim=-1)
        optimizer.zero_grad()
        loss(answers).mean(1).sum().backward()
        optimizer.step()
    return {name: values.detach().cpu().numpy() for name, values in leaves.items()}


def _tell_advantage(points: list[FrontPoint], steps: int, target: RefineTarget | None) -> None:
    """Print how far refined latents lie above refined weights, where there are both."""

    def front(prefix: str) -> list[Point]:
        mine = [point for point in points if point.sampler.startswith(prefix)]
        return [Point(point.seed, point.overlap, point.accuracy) for point in mine]

    latents = front(f"latents_model_{steps}_{target}")
    weights = front(f"weights_noise_{steps}_{target}")
    if latents and weights:
        gap = front_gap(latents, weights)
        shown = " ".join(f"{100 * value:.2f}" for value in (gap.mean, gap.low, gap.high))
        print(f"latents over weights, {steps} steps, {target}: {shown}", flush=True)


if __name__ == "__main__":
    main()
