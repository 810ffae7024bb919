"""Scoring candidates, conditioning their batch norms, and SUB end to end, against plain loops.

A plain loop loads one candidate after the other into the plain module and runs it on batches of
256 images, or in train mode with `momentum = None` for running statistics. Ours and the loop take
turns; each is its best repeat, because other processes only ever add. Seconds on the wall are on
all threads for both; those that the processor worked are beside them, summed over threads.

SUB end to end is 200 candidates of digits CNNs (1,568 weights, 48 tokens) around 140 prompts:
draw, decode by a small autoencoder with random weights, detokenize, undo standardization, score on
240 validation images, keep 10.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from shared.rows import Row, benchmark

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.generation.batch_norm import Conditioning, condition
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.generator import Generator
from sane_core.generation.sample import Sampler, sample
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.seeding import rng_for
from sane_core.weights.layers import layers_of
from sane_core.weights.standardize import identity
from sane_core.weights.tokens import lengths_of, positions_of
from sane_core.zoo.population.initialize import Population, initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import score
from sane_core.zoo.population.settled import way_to_score
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.config.training import TrainingConfig

BATCH = 256
SCORED = (("digits-cnn", 200), ("cnn", 200), ("cnn3", 200), ("resnet18[size=16,width=8]", 20))
"""Architecture and candidates."""

Seconds = tuple[float, float]
"""On the wall, and of the processor."""


def measure(quick: bool) -> list[Row]:
    share, repeats = (10, 2) if quick else (1, 5)
    rows = []
    for name, candidates in SCORED:
        rows.append(_scoring(name, max(2, candidates // share), repeats))
    rows.append(_conditioning("resnet18[size=16,width=8]", 2 if quick else 10, repeats))
    return [*rows, _sub(20 if quick else 200, repeats)]


def _scoring(name: str, candidates: int, repeats: int) -> Row:
    architecture = architecture_named(name)
    population, images = _candidates(architecture, candidates), _images(architecture, 1000)
    module, inputs = architecture.build().eval(), _inputs(images)

    @torch.no_grad()
    def loop() -> None:
        for i in range(candidates):
            module.load_state_dict({entry: values[i] for entry, values in population.items()})
            for part in inputs:
                module(part)

    ours, plain = _best([lambda: score(architecture, population, images), loop], repeats)
    label = f"score.{name.split('[')[0]}.{candidates}"
    return _row(label, ours, plain, f"a loop; way {way_to_score(architecture)}")


def _conditioning(name: str, candidates: int, repeats: int) -> Row:
    architecture = architecture_named(name)
    population, images = _candidates(architecture, candidates), _images(architecture, 1024)
    how, module = Conditioning(images, 8, 128), architecture.build().train()
    parts = [torch.from_numpy(images.numbers(chosen)) for chosen in how.chosen()]

    @torch.no_grad()
    def loop() -> None:
        for i in range(candidates):
            module.load_state_dict({entry: values[i] for entry, values in population.items()})
            for layer in module.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.reset_running_stats()
                    layer.momentum = None
            for part in parts:
                module(part)

    ours, plain = _best([lambda: condition(architecture, population, how), loop], repeats)
    return _row(f"condition.{name.split('[')[0]}.{candidates}", ours, plain, "a loop")


def _sub(candidates: int, repeats: int) -> Row:
    architecture = architecture_named("digits-cnn")
    layers = layers_of(architecture.shapes())
    config = AutoencoderConfig()
    generator = Generator(
        model=build(AutoencoderShape(73, 16, (48, 5, 20)), config, 0).eval(),
        architecture=architecture,
        layers=layers,
        statistics=identity(layers),
        positions=positions_of(layers, 73),
        lengths=lengths_of(layers, 73),
        mean=np.zeros(config.d_z),
        scale=np.ones(config.d_z),
        embed=EmbedConfig(),
        validation=_images(architecture, 240),
    )
    latents = rng_for(0, "prompts").standard_normal((140, 48, config.d_z), np.float32)
    prompts = PromptLatents(latents, generator.mean, generator.scale)

    def sub() -> None:
        sample(generator, prompts, Sampler(), candidates, min(10, candidates), rng_for(0, "sub"))

    wall, processor = _best([sub], repeats)[0]
    return Row(f"sub.digits-cnn.{candidates}", wall, "s", f"processor {processor:.2f} s")


def _row(name: str, ours: Seconds, plain: Seconds, against: str) -> Row:
    """Return our seconds on the wall and how many times faster that is than the plain loop."""
    work = f"{against} of {plain[0]:.2f} s; processor {ours[1]:.2f} of {plain[1]:.2f} s"
    return Row(name, ours[0], "s", work, plain[0] / ours[0])


def _candidates(architecture: Architecture, count: int) -> Population:
    start = initialize(architecture, members_of(TrainingConfig(), range(count), 0), 0)
    return dict(start)


def _images(architecture: Architecture, count: int) -> Images:
    rng = rng_for(0, "images")
    pixels = rng.integers(0, 256, (count, *architecture.input_shape), np.uint8)
    return Images(pixels, rng.integers(0, 10, count), scale=1 / 255)


def _inputs(images: Images) -> tuple[torch.Tensor, ...]:
    return torch.from_numpy(images.numbers(np.arange(len(images)))).split(BATCH)


def _best(works: list[Callable[[], object]], repeats: int) -> list[Seconds]:
    """Return the seconds of the best repeat of each, in turns."""
    best = [(float("inf"), float("inf"))] * len(works)
    for _ in range(repeats):
        for i, work in enumerate(works):
            begun = time.perf_counter(), time.process_time()
            work()
            wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
            best[i] = min(best[i][0], wall), min(best[i][1], processor)
    return best


if __name__ == "__main__":
    benchmark(__doc__, measure)
