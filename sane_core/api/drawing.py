"""Draw from the distribution that is asked for, with selection or without (Algorithm 3)."""

import numpy as np

from sane_core.generation.baselines import with_matched_noise
from sane_core.generation.batch_norm import SUFFIXES, has_running_statistics
from sane_core.generation.candidates import Samples, Weights, finite_models
from sane_core.generation.distributions.latents import PromptLatents
from sane_core.generation.distributions.registry import DISTRIBUTIONS
from sane_core.generation.generator import Generator
from sane_core.generation.sample import Sampler, sample, sampler_of
from sane_core.seeding import rng_for
from schemas.config.generate import GenerateConfig
from schemas.config.sample import SampleConfig
from schemas.config.samplers import SamplerConfig


def settled(generator: Generator, latents: PromptLatents, config: SampleConfig) -> Sampler:
    """Return the distribution that is asked for, with its bandwidth as a number.

    Args:
        generator: Decoder, and validation images where the bandwidth is chosen on them.
        latents: Of the prompts.
        config: What to draw.

    Raises:
        ValueError: If Scott's rule has too few prompts.
    """
    gauss, number = config.method == "gauss", not isinstance(config.bandwidth, str)
    distribution = config.method if config.method in ("gauss", "kde30") else config.coupling
    sampler = SamplerConfig(
        name=config.method + ("_labels" if config.refined_on_labels else ""),
        distribution=distribution,
        spread=None if gauss else config.bandwidth,
        rounds=config.rounds if config.method in ("boot", "gauss") else 1,
        refine=config.refine,
    )
    sizes = {"candidates": config.candidates, "keep": config.n}
    chosen = GenerateConfig.model_validate(
        sizes | ({"bandwidth": config.bandwidth} if number else {})
    )
    return sampler_of(sampler, chosen, generator, latents, config.seed)


def draw_and_select(
    generator: Generator, latents: PromptLatents, sampler: Sampler, config: SampleConfig
) -> Samples:
    """Draw candidates, score them on validation images and keep the best.

    Args:
        generator: Decoder, validation images, conditioning.
        latents: Of the prompts; there may be none for gauss.
        sampler: What to draw from.
        config: How many.

    Raises:
        ValueError: If no candidate is finite.
    """
    rng = rng_for(config.seed, "sample", config.method)
    return sample(generator, latents, sampler, config.candidates, config.n, rng)


def draw_blindly(
    generator: Generator,
    latents: PromptLatents,
    sampler: Sampler,
    config: SampleConfig,
    prompts: Weights,
) -> Samples:
    """Draw as many as are wanted, once, with nothing to select them on.

    Running statistics are those of the prompt that a sample stands on. What is not finite is left
    out, so there may be fewer than asked for.

    Args:
        generator: Decoder, without conditioning.
        latents: Of the prompts; there may be none for gauss.
        sampler: What to draw from.
        config: How many.
        prompts: The prompts themselves, aligned: entry -> [prompts, ...].

    Raises:
        ValueError: If networks have running statistics and no prompt to take them of, or none is
            finite.
    """
    rng = rng_for(config.seed, "sample", config.method)
    drawn = DISTRIBUTIONS[sampler.distribution](latents, config.n, sampler.spread, rng)
    index = drawn.prompt
    whole = generator.reconstruct(drawn.latents, index)
    whole |= _statistics_of(prompts, index, generator)
    finite = finite_models(whole)
    if not finite.any():
        raise ValueError(
            f"at least one of {config.n} samples must be finite, got none; take a smaller bandwidth"
        )
    nothing = np.full(int(finite.sum()), np.nan)
    return Samples(
        weights={name: values[finite] for name, values in whole.items()},
        latents=drawn.latents[finite],
        prompt=index[finite],
        validation_accuracy=nothing,
        validation_loss=nothing,
        candidate_accuracy=nothing,
        broken=int((~finite).sum()),
    )


def beside(
    generator: Generator, prompts: Weights, samples: Samples, config: SampleConfig
) -> dict[str, np.ndarray]:
    """Return validation accuracies of what needs no autoencoder, selected the same way.

    `noise` puts Gaussian noise on the prompts that the kept samples stand on, as far away in every
    layer as the sample is: as many candidates, of which as many are kept. That is the stronger of
    two comparisons: its prompts have been chosen already.

    Args:
        generator: Knows layers, validation images and conditioning.
        prompts: All of them, aligned: entry -> [prompts, ...].
        samples: The kept samples, in the aligned frame.
        config: What was drawn.
    """
    found = {"prompts selected": generator.best(prompts, config.n).validation_accuracy}
    if (samples.prompt >= 0).all():
        again = np.arange(config.candidates) % len(samples)
        like = {name: samples.weights[name][again] for name in generator.architecture.shapes()}
        noisy = with_matched_noise(
            {name: prompts[name] for name in like},
            like,
            samples.prompt[again],
            generator.layers,
            rng_for(config.seed, "sample", "noise"),
        )
        kept = generator.select(noisy, samples.prompt[again], config.n)
        found["noise"] = kept.validation_accuracy
    return found


def _statistics_of(prompts: Weights, index: np.ndarray, generator: Generator) -> Weights:
    """Return the buffers of the prompts that samples stand on."""
    architecture = generator.architecture
    if not has_running_statistics(architecture):
        return {}
    needed = [name for name in architecture.buffers() if name.endswith(SUFFIXES)]
    if (index < 0).any() or not set(needed) <= prompts.keys():
        raise ValueError(
            f"{architecture.name} has running statistics, which are measured on images or taken of "
            "a prompt that has them: give data, or method 'sub' with such prompts"
        )
    names = [name for name in architecture.buffers() if name in prompts]
    return {name: prompts[name][index] for name in names}
