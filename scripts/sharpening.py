"""The front of sharpened decoders beside noise, interpolation, and networks that are trained on.

`python scripts/sharpening.py STORE --seed 0 --sharpened FOLDER [--unlabelled FOLDER] [--controls]`

STORE is that of a `sane run` on one zoo of networks without batch norms; the newest images, tokens
and model in it are taken, or those given. Everything keeps the best 10 of 200 by validation
accuracy. With `--controls`, prompts with noise on their weights are trained on, each for as many
steps as sharpening took per train network (160 for 3,500 steps) and per drawn network (560), and
selected after that.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from sane_core.generation.baselines import with_noise
from sane_core.generation.control import train_candidates
from sane_core.generation.front import FrontPoint, sweep
from sane_core.generation.material import Material, Sources, open_material
from sane_core.generation.novelty import error_overlap
from sane_core.generation.rows import gap_metrics
from sane_core.seeding import rng_for
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.samplers import SamplerConfig
from schemas.config.training import TrainingConfig

SPREADS = (0.02, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
NOISE = (0.0, 0.3, 0.6, 1.0)
STEPS = (160, 560)


def main() -> None:
    """Print the front, the gaps and, if asked for, the controls."""
    asked = _arguments()
    decoders = {"sharpened": asked.sharpened, "sharpened_unlabelled": asked.unlabelled}
    config = _config(asked.draws, asked.candidates)
    sources = Sources(
        _newest(asked.store, "images", asked.images),
        _newest(asked.store, "tokens", asked.tokens),
        _newest(asked.store, "model", asked.model),
        others={name: folder for name, folder in decoders.items() if folder},
    )
    epochs = range(asked.epochs + 1)
    given = open_material(sources, epochs, config, EmbedConfig(), asked.seed, TrainingConfig())
    test = given.images["test"]
    points = sweep(given.decoders, given.prompts, test, given.wrong, config, asked.seed)
    for sampler, knob in dict.fromkeys((point.sampler, point.knob) for point in points):
        tell(sampler, knob, [p for p in points if (p.sampler, p.knob) == (sampler, knob)])
    for name, value in gap_metrics(points).items():
        print(f"{name:44s} {100 * value:6.2f}")
    if asked.controls:
        for size in NOISE:
            _trained_on(given, config, size, asked.seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    for name in ("images", "tokens", "model", "sharpened", "unlabelled"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=50, help="last epoch of the zoo")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--controls", action="store_true")
    return parser.parse_args()


def _config(draws: int, candidates: int) -> GenerateConfig:
    """Return what is swept: both couplings of every decoder."""
    samplers = tuple(
        SamplerConfig(
            name=f"{decoder}_{coupling}", distribution=coupling, decoder=decoder, sweep=SPREADS
        )
        for decoder in ("sane", "sharpened", "sharpened_unlabelled")
        for coupling in ("shared_noise", "model")
    )
    return GenerateConfig(samplers=samplers, seeds=draws, candidates=candidates, keep=10)


def _newest(store: Path, stage: str, given: Path | None) -> Path:
    manifests = store.glob(f"{stage}/*/manifest.json")
    return given or max(manifests, key=lambda path: path.stat().st_mtime).parent


def _trained_on(given: Material, config: GenerateConfig, size: float, seed: int) -> None:
    """Print what noise on prompts is after some steps of training, selected then."""
    generator, prompts = given.decoders["sane"].generator, given.prompts.weights
    rng = rng_for(seed, "control", size)
    weights = with_noise(prompts, generator.layers, size, config.candidates, rng)
    batch, images = 64, given.images["train"]
    per_epoch = -(-len(images) // batch)
    last = -(-max(STEPS) // per_epoch)
    recipe = TrainingConfig(epochs=last, batch=batch, learning_rate=1e-3)

    def report(epoch: int, population: dict) -> None:
        if epoch and epoch not in [-(-steps // per_epoch) for steps in STEPS]:
            return
        models = {name: values.cpu().numpy().copy() for name, values in population.items()}
        kept = generator.select(models, np.full(config.candidates, -1), config.keep)
        correct = generator.correct(kept.weights, given.images["test"])
        overlap = float(error_overlap(~correct, given.wrong).mean())
        found = FrontPoint("", size, 0, float(correct.mean()), overlap, 0.0)
        candidates = replace(found, candidate_accuracy=float(kept.candidate_accuracy.mean()))
        tell(f"noise, {epoch * per_epoch} steps", size, [candidates])

    # All at once: the best are chosen among all of them after every epoch.
    train_candidates(generator, weights, images, recipe, seed, config.candidates, report)


def tell(sampler: str, knob: float, points: list[FrontPoint]) -> None:
    """Print one point of a front, the mean over its draws."""
    names = ("accuracy", "candidate_accuracy", "overlap")
    accuracy, candidates, overlap = (np.mean([getattr(p, n) for p in points]) for n in names)
    print(
        f"{sampler:36s} {knob:5.2f}  kept {100 * accuracy:5.1f}  all {100 * candidates:5.1f}  "
        f"overlap {overlap:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
