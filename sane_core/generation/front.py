"""The accuracy-novelty front: test accuracy over error overlap, as each sampler's knob is swept.

A point is the mean over the models kept (by validation accuracy) in one draw; the spread over
independent draws is the interval. Further up and further left is better.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sane_core.generation.baselines import interpolated, with_noise
from sane_core.generation.candidates import Samples, Weights
from sane_core.generation.generator import Generator
from sane_core.generation.novelty import error_overlap
from sane_core.generation.sample import subsample
from sane_core.images.images import Images
from sane_core.seeding import rng_for
from sane_core.zoo.population.score import score, stack
from schemas.config.generate import GenerateConfig


@dataclass(frozen=True)
class FrontPoint:
    """One draw of one sampler at one setting.

    Attributes:
        sampler: "sane", "noise" or "interpolation".
        knob: Bandwidth, noise size or mixing share.
        seed: Number of the draw.
        accuracy: Mean test accuracy of the kept models.
        overlap: Mean over the kept models of the largest error overlap with any training model.
        candidate_accuracy: Mean validation accuracy of all candidates.
    """

    sampler: str
    knob: float
    seed: int
    accuracy: float
    overlap: float
    candidate_accuracy: float


def sweep(
    generator: Generator,
    latents: np.ndarray,
    prompts: Weights,
    test: Images,
    training_wrong: np.ndarray,
    config: GenerateConfig,
    seed: int,
    on_point: Callable[[], None] | None = None,
) -> list[FrontPoint]:
    """Sweep SANE's bandwidth, the size of weight noise, and the share of interpolation.

    Args:
        generator: Decoder and validation images.
        latents: The prompts' latents [prompts, N, d_z].
        prompts: The prompts' weights, entry -> [prompts, ...].
        test: Test images (reported, never selected on).
        training_wrong: bool [training models, test images].
        config: Sweeps, candidates, keep, seeds.
        seed: The run's seed.
        on_point: Called after every point.
    """
    layers = generator.layers

    def select(weights: Weights) -> Samples:
        return generator.select(weights, np.full(config.candidates, -1), config.keep)

    def sane(knob: float, rng: np.random.Generator) -> Samples:
        return subsample(generator, latents, config.candidates, config.keep, knob, rng)

    def noise(knob: float, rng: np.random.Generator) -> Samples:
        return select(with_noise(prompts, layers, knob, config.candidates, rng))

    def interpolation(knob: float, rng: np.random.Generator) -> Samples:
        return select(interpolated(prompts, knob, config.candidates, rng))

    points = []
    for sampler, draw, knobs in (
        ("sane", sane, config.bandwidths),
        ("noise", noise, config.noise_sizes),
        ("interpolation", interpolation, config.interpolations),
    ):
        for knob in knobs:
            for repeat in range(config.seeds):
                samples = draw(knob, rng_for(seed, "front", sampler, knob, repeat))
                correct, _ = score(
                    generator.architecture, stack(generator.architecture, samples.weights), test
                )
                points.append(
                    FrontPoint(
                        sampler,
                        knob,
                        repeat,
                        float(correct.mean()),
                        float(error_overlap(~correct, training_wrong).mean()),
                        float(samples.candidate_accuracy.mean()),
                    )
                )
                if on_point:
                    on_point()
    return points
