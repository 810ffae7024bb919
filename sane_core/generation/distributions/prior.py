"""A Gaussian prior without any prompt (GAUSS, paper §5.2): bootstrapping from nothing."""

import numpy as np


def sample_prior(
    tokens: int, count: int, mean: np.ndarray, scale: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw latents float32 [count, tokens, d_z], normal with the training latents' moments.

    Args:
        tokens: Sequence length N.
        count: Samples to draw.
        mean: Mean of the training latents, [d_z].
        scale: Their standard deviation, [d_z].
        rng: Source of the draw.
    """
    return (mean + scale * rng.standard_normal((count, tokens, len(mean)))).astype(np.float32)
