"""The accuracy-novelty front: test accuracy over error overlap, as each sampler's knob is swept.

A point is the mean over the models kept (by validation accuracy) in one draw; the spread over
independent draws is the interval. Further up and further left is better.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from sane_core.generation.baselines import interpolated, with_noise
from sane_core.generation.candidates import Samples, Weights
from sane_core.generation.compare import Decoder, Prompts
from sane_core.generation.novelty import error_overlap
from sane_core.generation.sample import sample, sampler_at
from sane_core.images.images import Images
from sane_core.seeding import rng_for
from schemas.config.generate import GenerateConfig
from schemas.config.samplers import SamplerConfig


@dataclass(frozen=True)
class FrontPoint:
    """One draw of one sampler at one setting.

    Attributes:
        sampler: Name of a sampler, "noise" or "interpolation".
        knob: Spread (bandwidth) of the first round, noise size or mixing share.
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
    decoders: Mapping[str, Decoder],
    prompts: Prompts,
    test: Images,
    training_wrong: np.ndarray,
    config: GenerateConfig,
    seed: int,
    on_point: Callable[[], None] | None = None,
) -> list[FrontPoint]:
    """Sweep the spread of every sampler, the size of weight noise, the share of interpolation.

    A sampler keeps its rounds: at its own spread it draws as it does in the tables.

    Args:
        decoders: `sane`, and what else there is.
        prompts: Prompt examples.
        test: Test images (reported, never selected on).
        training_wrong: bool [training models, test images].
        config: Sweeps, candidates, keep, seeds.
        seed: The run's seed.
        on_point: Called after every point.
    """
    generator = decoders["sane"].generator
    points = []
    for sampler, draw, knobs in _swept(decoders, prompts, config):
        for knob in knobs:
            for repeat in range(config.seeds):
                samples = draw(knob, rng_for(seed, "front", sampler, knob, repeat))
                correct = generator.correct(samples.weights, test)
                overlap = error_overlap(~correct, training_wrong).mean()
                candidates = samples.candidate_accuracy.mean()
                accuracy = float(correct.mean())
                points.append(
                    FrontPoint(sampler, knob, repeat, accuracy, float(overlap), float(candidates))
                )
                if on_point:
                    on_point()
    return points


def points_of(decoders: Collection[str], config: GenerateConfig) -> int:
    """Return how many points `sweep` has."""
    swept = [each for each in config.samplers if each.decoder in decoders]
    knobs = [*config.noise_sizes, *config.interpolations]
    return config.seeds * (len(knobs) + sum(len(each.sweep) for each in swept))


Draw = Callable[[float, np.random.Generator], Samples]


def _swept(
    decoders: Mapping[str, Decoder], prompts: Prompts, config: GenerateConfig
) -> list[tuple[str, Draw, tuple[float, ...]]]:
    """Return (name, draws by knob, knobs) of everything that is swept."""
    generator, weights, keep = decoders["sane"].generator, prompts.weights, config.keep

    def select(models: Weights) -> Samples:
        return generator.select(models, np.full(config.candidates, -1), keep)

    def noise(knob: float, rng: np.random.Generator) -> Samples:
        return select(with_noise(weights, generator.layers, knob, config.candidates, rng))

    def interpolation(knob: float, rng: np.random.Generator) -> Samples:
        return select(interpolated(weights, knob, config.candidates, rng))

    def of(decoder: Decoder, sampler: SamplerConfig) -> Draw:
        return lambda knob, rng: sample(
            decoder.generator,
            decoder.prompts,
            sampler_at(sampler, knob, config),
            config.candidates,
            keep,
            rng,
        )

    samplers = [
        (each.name, of(decoders[each.decoder], each), each.sweep)
        for each in config.samplers
        if each.decoder in decoders and each.sweep
    ]
    return [
        *samplers,
        ("noise", noise, config.noise_sizes),
        ("interpolation", interpolation, config.interpolations),
    ]
