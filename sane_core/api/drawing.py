"""Draw from the distribution that is asked for, with selection or without (Algorithm 3)."""

import numpy as np

from sane_core.embedding.embed import has_one_latent
from sane_core.generation.baselines import with_matched_noise
from sane_core.generation.batch_norm import SUFFIXES, has_running_statistics
from sane_core.generation.candidates import Samples, Weights, finite_models, keep_best
from sane_core.generation.compare import Prompts
from sane_core.generation.distributions.kde import sample_kde
from sane_core.generation.distributions.prior import sample_prior
from sane_core.generation.generator import Generator
from sane_core.generation.sample import bootstrap, bootstrap_prior, subsample
from sane_core.seeding import rng_for
from schemas.config.sample import SampleConfig

BEST = 0.3
"""Share of the prompts that KDE30 draws around."""


def draw_and_select(generator: Generator, prompts: Prompts | None, config: SampleConfig) -> Samples:
    """Draw candidates, score them on validation images and keep the best.

    Args:
        generator: Decoder, validation images, conditioning.
        prompts: Needed by all methods but gauss.
        config: What to draw.

    Raises:
        ValueError: If no candidate is finite.
    """
    rng = rng_for(config.seed, "sample", config.method)
    draw = (config.candidates, config.n, config.bandwidth)
    if config.method == "gauss" or prompts is None:
        return bootstrap_prior(generator, *draw, config.rounds, rng)
    latents = prompts.latents
    if config.method == "boot":
        return bootstrap(generator, latents, *draw, config.rounds, rng)
    if config.method == "kde30":
        ranked = np.argsort(-prompts.validation_accuracy, kind="stable")
        best = ranked[: max(1, round(BEST * len(ranked)))]
        return subsample(generator, latents[best], *draw, rng, best)
    return subsample(generator, latents, *draw, rng)


def draw_blindly(generator: Generator, prompts: Prompts | None, config: SampleConfig) -> Samples:
    """Draw as many as are wanted, with nothing to select them on.

    Running statistics are those of the prompt that a sample stands on. What is not finite is left
    out, so there may be fewer than asked for.

    Args:
        generator: Decoder, without conditioning.
        prompts: Needed by sub.
        config: What to draw: sub or gauss, of which one round.

    Raises:
        ValueError: If networks have running statistics and no prompt to take them of, or none is
            finite.
    """
    rng = rng_for(config.seed, "sample", config.method)
    if config.method == "gauss" or prompts is None:
        tokens = 1 if has_one_latent(generator.model) else len(generator.positions)
        latents = sample_prior(tokens, config.n, generator.mean, generator.scale, rng)
        index = np.full(config.n, -1)
    else:
        latents, index = sample_kde(
            prompts.latents, config.n, config.bandwidth, generator.scale, rng
        )
    whole = generator.complete(generator.decode(latents), index)
    whole |= _statistics_of(prompts, index, generator)
    finite = finite_models(whole)
    if not finite.any():
        raise ValueError(
            f"at least one of {config.n} samples must be finite, got none; take a smaller bandwidth"
        )
    nothing = np.full(int(finite.sum()), np.nan)
    return Samples(
        weights={name: values[finite] for name, values in whole.items()},
        latents=latents[finite],
        prompt=index[finite],
        validation_accuracy=nothing,
        validation_loss=nothing,
        candidate_accuracy=nothing,
        broken=int((~finite).sum()),
    )


def beside(
    generator: Generator, prompts: Prompts, samples: Samples, config: SampleConfig
) -> dict[str, np.ndarray]:
    """Return validation accuracies of what needs no autoencoder, selected the same way.

    `noise` puts Gaussian noise on the prompts that the kept samples stand on, as far away in every
    layer as the sample is: as many candidates, of which as many are kept. That is the stronger of
    two comparisons: its prompts have been chosen already.

    Args:
        generator: Knows layers, validation images and conditioning.
        prompts: All of them.
        samples: The kept samples, in the aligned frame.
        config: What was drawn.
    """
    selected = keep_best(
        generator.architecture, prompts.weights, generator.validation, config.n
    ).validation_accuracy
    found = {"prompts selected": selected}
    if (samples.prompt >= 0).all():
        again = np.arange(config.candidates) % len(samples)
        like = {name: samples.weights[name][again] for name in generator.architecture.shapes()}
        noisy = with_matched_noise(
            {name: prompts.weights[name] for name in like},
            like,
            samples.prompt[again],
            generator.layers,
            rng_for(config.seed, "sample", "noise"),
        )
        kept = generator.select(noisy, samples.prompt[again], config.n)
        found["noise"] = kept.validation_accuracy
    return found


def _statistics_of(prompts: Prompts | None, index: np.ndarray, generator: Generator) -> Weights:
    """Return the buffers of the prompts that samples stand on."""
    architecture = generator.architecture
    if not has_running_statistics(architecture):
        return {}
    needed = [name for name in architecture.buffers() if name.endswith(SUFFIXES)]
    if prompts is None or (index < 0).any() or not set(needed) <= prompts.weights.keys():
        raise ValueError(
            f"{architecture.name} has running statistics, which are measured on images or taken of "
            "a prompt that has them: give data, or method 'sub' with such prompts"
        )
    names = [name for name in architecture.buffers() if name in prompts.weights]
    return {name: prompts.weights[name][index] for name in names}
