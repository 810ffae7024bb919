"""Sample models (Algorithm 3): draw latents, decode, score on validation images, keep the best.

SUB draws once. BOOT takes the kept latents as the next round's prompts and draws again with fresh
noise; GAUSS does the same from a prior instead of prompts. Nothing here sees test images.
"""

import numpy as np

from sane_core.embedding.embed import has_one_latent
from sane_core.generation.candidates import Samples
from sane_core.generation.distributions.kde import sample_kde, sample_kde_by_dimension
from sane_core.generation.distributions.prior import sample_prior
from sane_core.generation.generator import Generator


def subsample(
    generator: Generator,
    prompts: np.ndarray,
    candidates: int,
    keep: int,
    bandwidth: float,
    rng: np.random.Generator,
    origin: np.ndarray | None = None,
) -> Samples:
    """SUB: draw many around the prompts, keep the best (paper §2, "subsampling").

    Args:
        generator: Decoder and validation images.
        prompts: Latents [prompts, N, d_z].
        candidates: Samples to draw.
        keep: Samples to keep.
        bandwidth: h of the density, in training standard deviations.
        rng: Source of the draw.
        origin: Which prompt example each of the prompts stands on, where these are samples
            themselves; int64 [prompts].
    """
    latents, index = sample_kde(prompts, candidates, bandwidth, generator.scale, rng)
    return generator.select_decoded(latents, index if origin is None else origin[index], keep)


def subsample_by_dimension(
    generator: Generator,
    prompts: np.ndarray,
    candidates: int,
    keep: int,
    bandwidth: float,
    rng: np.random.Generator,
) -> Samples:
    """Draw from the density of each latent dimension, keep the best; arguments as `subsample`."""
    latents = sample_kde_by_dimension(prompts, candidates, bandwidth, generator.scale, rng)
    return generator.select_decoded(latents, np.full(candidates, -1), keep)


def bootstrap(
    generator: Generator,
    prompts: np.ndarray,
    candidates: int,
    keep: int,
    bandwidth: float,
    rounds: int,
    rng: np.random.Generator,
) -> Samples:
    """BOOT: subsample, then take the kept latents as prompts and subsample again.

    Differs from the published code, which returned unsorted models: the kept ones are returned.

    Args:
        generator: Decoder and validation images.
        prompts: Latents [prompts, N, d_z] of the first round.
        candidates: Samples per round.
        keep: Samples kept per round.
        bandwidth: h, in training standard deviations.
        rounds: Rounds, >= 1.
        rng: Source of every draw.
    """
    samples = subsample(generator, prompts, candidates, keep, bandwidth, rng)
    return _again(generator, samples, candidates, keep, bandwidth, rounds - 1, rng)


def bootstrap_prior(
    generator: Generator,
    candidates: int,
    keep: int,
    bandwidth: float,
    rounds: int,
    rng: np.random.Generator,
) -> Samples:
    """GAUSS: as `bootstrap`, from candidates drawn from the prior instead of prompts."""
    count = 1 if has_one_latent(generator.model) else len(generator.positions)
    latents = sample_prior(count, candidates, generator.mean, generator.scale, rng)
    samples = generator.select_decoded(latents, np.full(candidates, -1), keep)
    return _again(generator, samples, candidates, keep, bandwidth, rounds - 1, rng)


def _again(
    generator: Generator,
    samples: Samples,
    candidates: int,
    keep: int,
    bandwidth: float,
    rounds: int,
    rng: np.random.Generator,
) -> Samples:
    draw = (candidates, keep, bandwidth, rng)
    for _ in range(rounds):
        samples = subsample(generator, samples.latents, *draw, samples.prompt)
    return samples
