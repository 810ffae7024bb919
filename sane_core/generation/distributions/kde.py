"""Gaussian kernel density over the prompts' latents (Eq. 7), with shared noise.

Sample k stands on one prompt and one noise vector for all its tokens:
`z[k, n] = prompt[index[k], n] + h · σ · ε[k]`.

Differs from the paper: Eq. 7 draws every token independently, which leaves samples at chance level;
the published code shares the draw over tokens (by seeding each token alike), and so does this.
"""

import numpy as np


def sample_kde(
    prompts: np.ndarray, count: int, bandwidth: float, scale: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw samples around prompt examples.

    Args:
        prompts: Latents float32 [prompts, N, d_z].
        count: Samples to draw.
        bandwidth: h, in standard deviations of the training latents.
        scale: Standard deviation of the training latents, [d_z].
        rng: Source of the draw.

    Returns:
        (latents float32 [count, N, d_z], the prompt of each sample int64 [count]).
    """
    index = rng.integers(len(prompts), size=count)
    noise = bandwidth * scale * rng.standard_normal((count, 1, prompts.shape[2]))
    return (prompts[index] + noise).astype(np.float32), index


def sample_kde_by_dimension(
    prompts: np.ndarray, count: int, bandwidth: float, scale: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw samples from a density of its own for each dimension of a model's one latent.

    This is how the earlier hyper-representations were sampled (Schürholt et al., 2022): given the
    prompts, dimensions count as independent, so a sample takes each from another prompt.

    Differs from that work: h is in standard deviations of the training latents, as everywhere here.

    Args:
        prompts: Latents float32 [prompts, 1, d_z].
        count: Samples to draw.
        bandwidth: h, in standard deviations of the training latents.
        scale: Standard deviation of the training latents, [d_z].
        rng: Source of the draw.

    Returns:
        Latents float32 [count, 1, d_z].

    Raises:
        ValueError: If models have more than one latent.
    """
    models, latents, dimensions = prompts.shape
    if latents != 1:
        raise ValueError(f"prompts must have one latent each, got {latents}")
    index = rng.integers(models, size=(count, dimensions))
    drawn = prompts[index, 0, np.arange(dimensions)]
    noise = bandwidth * scale * rng.standard_normal((count, dimensions))
    return (drawn + noise).astype(np.float32)[:, None]
