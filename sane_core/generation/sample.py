"""Sample models (Algorithm 3): draw latents, decode, score on validation images, keep the best.

SUB draws once. BOOT takes the kept latents as the next round's prompts and draws again with fresh
noise; GAUSS does the same from a prior instead of prompts. Nothing here sees test images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.embedding.embed import decode, has_one_latent
from sane_core.generation.distributions.kde import sample_kde, sample_kde_by_dimension
from sane_core.generation.distributions.prior import sample_prior
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.layers import Layer
from sane_core.weights.standardize import Statistics, unstandardize
from sane_core.weights.tokens import detokenize
from sane_core.zoo.population.score import score, stack
from schemas.config.embed import EmbedConfig

Weights = dict[str, np.ndarray]
"""Entry -> float32 [models, ...], raw."""


@dataclass(frozen=True)
class Generator:
    """A trained SANE ready to decode one architecture.

    Attributes:
        model: Trained autoencoder.
        architecture: What to decode to.
        layers: Its layers, as the tokens were cut.
        statistics: Per-layer statistics to undo.
        positions: int64 [N, 3].
        lengths: int64 [N].
        mean: Mean of the training latents [d_z].
        scale: Standard deviation of the training latents [d_z].
        embed: Chunk sizes.
        validation: Images every selection uses.
    """

    model: Autoencoder
    architecture: Architecture
    layers: tuple[Layer, ...]
    statistics: Statistics
    positions: np.ndarray
    lengths: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    embed: EmbedConfig
    validation: Images

    def decode(self, latents: np.ndarray) -> Weights:
        """Decode latents, as `encode` gives them: detokenize, then undo standardization."""
        tokens = decode(self.model, latents, self.positions, self.lengths, self.embed)
        return unstandardize(detokenize(tokens, self.layers), self.layers, self.statistics)


@dataclass(frozen=True)
class Samples:
    """Models drawn and kept.

    Attributes:
        weights: The kept models' weights, best first.
        latents: Their latents float32 [kept, N, d_z]; empty for samplers in weight space.
        prompt: The prompt each stands on, int64 [kept]; -1 where there is none.
        validation_accuracy: float64 [kept].
        candidate_accuracy: Validation accuracy of all candidates, float64 [candidates].
    """

    weights: Weights
    latents: np.ndarray
    prompt: np.ndarray
    validation_accuracy: np.ndarray
    candidate_accuracy: np.ndarray


def keep_best(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    validation: Images,
    keep: int,
    latents: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
) -> Samples:
    """Score candidates on validation images and keep the best, ties by lower loss.

    Models with non-finite weights or loss score 0 and are never kept before a finite one.

    Args:
        architecture: Architecture of the candidates.
        weights: Entry -> float32 [candidates, ...].
        validation: Validation images.
        keep: Models to keep.
        latents: [candidates, N, d_z] to keep alongside.
        prompt: int64 [candidates] to keep alongside.
    """
    correct, loss = score(architecture, stack(architecture, weights), validation)
    finite = np.isfinite(loss)
    accuracy = np.where(finite, correct.mean(1), 0.0)
    best = np.lexsort((np.where(finite, loss, np.inf), -accuracy))[:keep]
    return Samples(
        weights={name: values[best] for name, values in weights.items()},
        latents=np.empty((0, 0, 0), np.float32) if latents is None else latents[best],
        prompt=np.full(len(best), -1) if prompt is None else prompt[best],
        validation_accuracy=accuracy[best],
        candidate_accuracy=accuracy,
    )


def subsample(
    generator: Generator,
    prompts: np.ndarray,
    candidates: int,
    keep: int,
    bandwidth: float,
    rng: np.random.Generator,
) -> Samples:
    """SUB: draw many around the prompts, keep the best (paper §2, "subsampling").

    Args:
        generator: Decoder and validation images.
        prompts: Latents [prompts, N, d_z].
        candidates: Samples to draw.
        keep: Samples to keep.
        bandwidth: h of the density, in training standard deviations.
        rng: Source of the draw.
    """
    latents, index = sample_kde(prompts, candidates, bandwidth, generator.scale, rng)
    weights = generator.decode(latents)
    return keep_best(generator.architecture, weights, generator.validation, keep, latents, index)


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
    weights = generator.decode(latents)
    return keep_best(generator.architecture, weights, generator.validation, keep, latents)


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
    for _ in range(rounds - 1):
        samples = subsample(generator, samples.latents, candidates, keep, bandwidth, rng)
    return samples


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
    samples = keep_best(
        generator.architecture, generator.decode(latents), generator.validation, keep, latents
    )
    for _ in range(rounds - 1):
        samples = subsample(generator, samples.latents, candidates, keep, bandwidth, rng)
    return samples
