"""The prior as an array, for callers without a `PromptLatents`."""

import numpy as np

from sane_core.generation.distributions.gauss import draw_gauss
from sane_core.generation.distributions.latents import PromptLatents


def sample_prior(
    tokens: int, count: int, mean: np.ndarray, scale: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return latents float32 [count, tokens, d_z] of `draw_gauss` at spread 1."""
    none = np.empty((0, tokens, len(mean)), np.float32)
    return draw_gauss(PromptLatents(none, mean, scale), count, 1.0, rng).latents
