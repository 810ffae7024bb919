"""What is fine-tuned on a target, method by method: samples, and all they are compared with.

Samples are selected as `Prompted` says, never on test images. What is drawn has the method's name
in its seed, so that a further method changes no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sane_core.generation.baselines import SHARE, interpolated_from
from sane_core.generation.candidates import Samples, Weights, as_they_are
from sane_core.generation.compare import GLOBAL
from sane_core.generation.control import train_candidates
from sane_core.generation.distributions.kde30 import best_prompts
from sane_core.generation.matched_noise import matched_noise
from sane_core.generation.sample import Sampler, sample
from sane_core.generation.transfer_prompts import Prompted
from sane_core.seeding import rng_for
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.training import TrainingConfig
from schemas.config.transfer import SHARPENED, TransferMethod

SCRATCH = "scratch"

Draw = Callable[[Prompted, np.random.Generator], Samples]


def fresh_networks(given: Prompted, recipe: TrainingConfig, seed: int) -> Weights:
    """Draw networks of the target from scratch; new heads are theirs, too.

    Args:
        given: The target, and how many networks.
        recipe: How they start.
        seed: The run's seed.

    Returns:
        Entry -> float32 [keep, ...], buffers too.
    """
    runs = [-1 - i for i in range(given.target.config.keep)]
    architecture = given.target.architecture
    start = initialize(architecture, members_of(recipe, runs, seed), seed, recipe.initial_bias)
    return {name: values.numpy() for name, values in start.items()}


def draw(given: Prompted, methods: Sequence[TransferMethod], seed: int) -> dict[str, Samples]:
    """Draw the networks of every method but scratch, in the generator's frame.

    Args:
        given: Prompts and generator.
        methods: What is asked for.
        seed: The run's seed.

    Returns:
        Method -> at most `keep` networks; prompts and their reconstructions in random order, all
        others the best first.
    """
    return {
        method: _METHODS[method](given, rng_for(seed, "transfer", given.target.config.name, method))
        for method in methods
        if method != SCRATCH
    }


def _sub(given: Prompted, rng: np.random.Generator) -> Samples:
    return _sampled(given, "shared_noise", 1, rng)


def _kde30(given: Prompted, rng: np.random.Generator) -> Samples:
    return _sampled(given, "kde30", 1, rng)


def _boot(given: Prompted, rng: np.random.Generator) -> Samples:
    return _sampled(given, "shared_noise", given.target.config.bootstrap_rounds, rng)


def _sharpened(decoder: str) -> Draw:
    return lambda given, rng: _sub(given.decoded_by(decoder), rng)


def _global_kde30(given: Prompted, rng: np.random.Generator) -> Samples:
    """As the earlier hyper-representations were sampled: per dimension, of the best prompts."""
    other = given.decoded_by(GLOBAL)
    best = other.latents.only(best_prompts(other.latents))
    return _sampled(replace(other, latents=best), "by_dimension", 1, rng)


def _sampled(given: Prompted, distribution: str, rounds: int, rng: np.random.Generator) -> Samples:
    config = given.target.config
    sampler = Sampler(distribution, config.bandwidth, rounds, config.bandwidth)
    return sample(given.generator, given.latents, sampler, config.candidates, config.keep, rng)


def _noise(given: Prompted, rng: np.random.Generator) -> Samples:
    weights, prompt = _noisy(given, rng)
    return given.generator.select(weights, prompt, given.target.config.keep)


def _noise_trained(given: Prompted, rng: np.random.Generator) -> Samples:
    """Train such noise on the target for as much as sharpening took, and select after that."""
    control = given.control
    if control is None:
        raise ValueError("noise_trained must be given a control (`Prompted.control`), got none")
    weights, prompt = _noisy(given, rng)
    trained = train_candidates(
        given.generator,
        weights,
        given.target.images["train"],
        control.recipe,
        int(rng.integers(2**31)),
        control.chunk,
        lambda *_: control.on_epoch(),
    )
    return given.generator.select(trained, prompt, given.target.config.keep)


def _noisy(given: Prompted, rng: np.random.Generator) -> tuple[Weights, np.ndarray]:
    config, prompts = given.target.config, given.prompts.weights
    count, spread = config.candidates, config.bandwidth
    return matched_noise(given.generator, given.latents, prompts, count, spread, rng)


def _interpolation(given: Prompted, rng: np.random.Generator) -> Samples:
    """Mix prompts; each stands on the one that it has more of. A single prompt stays as it is."""
    config, prompts = given.target.config, given.prompts.weights
    mixed, first = interpolated_from(prompts, SHARE, config.candidates, rng)
    return given.generator.select(mixed, first, config.keep)


def _prompts(given: Prompted, rng: np.random.Generator) -> Samples:
    return given.prompts.in_order(_in_random_order(given, rng))


def _reconstruction(given: Prompted, rng: np.random.Generator) -> Samples:
    order = _in_random_order(given, rng)
    decoded = given.generator.reconstruct(given.latents.latents[order], order)
    return as_they_are(decoded, given.generator.scores(decoded), order)


def _prompts_selected(given: Prompted, rng: np.random.Generator) -> Samples:
    del rng
    return given.prompts.selected(given.target.config.keep)


def _in_random_order(given: Prompted, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(len(given.prompts))[: given.target.config.keep]


_METHODS: dict[str, Draw] = {
    "sub": _sub,
    "kde30": _kde30,
    "boot": _boot,
    "global_kde30": _global_kde30,
    **{method: _sharpened(decoder) for method, decoder in SHARPENED.items()},
    "noise": _noise,
    "noise_trained": _noise_trained,
    "interpolation": _interpolation,
    "prompts": _prompts,
    "prompts_selected": _prompts_selected,
    "reconstruction": _reconstruction,
}
