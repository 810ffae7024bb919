"""Every way to get initial weights, side by side: samplers, prompts, baselines, scratch (§5.2).

Everything selected is selected on validation images in the same way: `candidates` models, the best
`keep` kept. Test images are only ever scored on.
"""

from dataclasses import dataclass

import numpy as np

from sane_core.generation.baselines import average, interpolated, with_matched_noise
from sane_core.generation.candidates import Samples, Weights, keep_best
from sane_core.generation.generator import Generator
from sane_core.generation.sample import (
    bootstrap,
    bootstrap_prior,
    subsample,
    subsample_by_dimension,
)
from sane_core.seeding import rng_for
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.generate import GenerateConfig
from schemas.config.training import TrainingConfig


@dataclass(frozen=True)
class Prompts:
    """Prompt examples: aligned checkpoints of train runs at one epoch.

    Attributes:
        weights: Entry -> float32 [prompts, ...], aligned, raw; buffers too.
        latents: float32 [prompts, N, d_z].
        validation_accuracy: float64 [prompts].
    """

    weights: Weights
    latents: np.ndarray
    validation_accuracy: np.ndarray


def embed_prompts(generator: Generator, weights: Weights) -> Prompts:
    """Embed prompt examples and score them on validation images.

    Args:
        generator: Trained SANE for the prompts' architecture.
        weights: Entry -> float32 [prompts, ...], aligned, raw; buffers too.
    """
    scored = keep_best(
        generator.architecture, weights, generator.validation, len(next(iter(weights.values())))
    )
    return Prompts(weights, generator.encode(weights), scored.candidate_accuracy)


def draw_all(
    generator: Generator,
    prompts: Prompts,
    recipe: TrainingConfig,
    config: GenerateConfig,
    seed: int,
    repeat: int,
    baseline: Generator | None = None,
) -> dict[str, Samples]:
    """Draw every method's models once.

    Args:
        generator: Trained SANE.
        prompts: Prompt examples.
        recipe: How the zoo's networks start.
        config: Candidates, keep, bandwidth, rounds.
        seed: The run's seed.
        repeat: Number of the independent draw.
        baseline: Trained autoencoder with one latent per model, if there is one.

    Returns:
        Method -> models: sub, kde30, boot, gauss; prompts and reconstruction (all of them, in
        random order), prompts_selected, best_prompt, noise (as far from its prompt as the SUB
        sample), interpolation, average, scratch; global_kde30 and global_reconstruction of the
        baseline.
    """
    draw = (config.candidates, config.keep, config.bandwidth)

    def rng(method: str) -> np.random.Generator:
        return rng_for(seed, "generate", method, repeat)

    def select(weights: Weights, keep: int) -> Samples:
        count = len(next(iter(weights.values())))
        return generator.select(weights, np.full(count, -1), keep)

    def as_they_are(weights: Weights, keep: int) -> Samples:
        return keep_best(generator.architecture, weights, generator.validation, keep)

    best_third = _best_third(prompts)
    latents = prompts.latents
    methods = {
        "sub": subsample(generator, latents, *draw, rng("sub")),
        "kde30": subsample(generator, latents[best_third], *draw, rng("kde30"), best_third),
        "boot": bootstrap(generator, latents, *draw, config.bootstrap_rounds, rng("boot")),
        "gauss": bootstrap_prior(generator, *draw, config.bootstrap_rounds, rng("gauss")),
    }
    methods["noise"] = select(_matched_noise(generator, prompts, config, rng("noise")), config.keep)
    mixed = interpolated(prompts.weights, 0.25, config.candidates, rng("interpolation"))
    methods["interpolation"] = select(mixed, config.keep)
    shuffled = rng("prompts").permutation(len(latents))
    methods["prompts"] = _unselected(prompts.weights, shuffled, generator)
    methods["prompts_selected"] = as_they_are(prompts.weights, config.keep)
    methods["best_prompt"] = as_they_are(prompts.weights, 1)
    methods["average"] = select(average(prompts.weights), 1)
    decoded = generator.complete(generator.decode(latents), np.arange(len(latents)))
    methods["reconstruction"] = _unselected(decoded, shuffled, generator)
    if baseline:
        own = embed_prompts(baseline, prompts.weights).latents
        methods["global_kde30"] = subsample_by_dimension(
            baseline, own[best_third], *draw, rng("global_kde30")
        )
        decoded = baseline.complete(baseline.decode(own), np.arange(len(own)))
        methods["global_reconstruction"] = _unselected(decoded, shuffled, generator)
    runs = [-1 - repeat * config.keep - i for i in range(config.keep)]
    fresh = members_of(recipe, runs, seed)
    start = initialize(generator.architecture, fresh, seed, recipe.initial_bias)
    methods["scratch"] = as_they_are(
        {name: values.numpy() for name, values in start.items()}, config.keep
    )
    return methods


def _best_third(prompts: Prompts) -> np.ndarray:
    """Return which 30 % of the prompts are the best on validation images."""
    ranked = np.argsort(-prompts.validation_accuracy, kind="stable")
    return ranked[: max(1, round(0.3 * len(ranked)))]


def _unselected(weights: Weights, order: np.ndarray, generator: Generator) -> Samples:
    """Keep all models, in this order."""
    everything = {name: values[order] for name, values in weights.items()}
    scored = keep_best(generator.architecture, everything, generator.validation, len(order))
    accuracy, nothing = scored.candidate_accuracy, np.full(len(order), np.nan)
    return Samples(everything, scored.latents, np.full(len(order), -1), accuracy, nothing, accuracy)


def _matched_noise(
    generator: Generator, prompts: Prompts, config: GenerateConfig, rng: np.random.Generator
) -> Weights:
    """Draw SUB candidates, and put noise on each one's own prompt at the candidate's distance."""
    everything = subsample(
        generator, prompts.latents, config.candidates, config.candidates, config.bandwidth, rng
    )
    return with_matched_noise(
        prompts.weights, everything.weights, everything.prompt, generator.layers, rng
    )
