"""The KDEs as tuples, for callers that hold latents without a `PromptLatents`."""

import numpy as np

from sane_core.generation.distributions.kde_by_dimension import draw_by_dimension
from sane_core.generation.distributions.kde_shared_noise import draw_shared_noise
from sane_core.generation.distributions.latents import PromptLatents


def sample_kde(
    prompts: np.ndarray, count: int, bandwidth: float, scale: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return latents and prompts of `draw_shared_noise`."""
    around = PromptLatents(prompts, np.zeros(len(scale)), scale)
    drawn = draw_shared_noise(around, count, bandwidth, rng)
    return drawn.latents, drawn.prompt


def sample_kde_by_dimension(
    prompts: np.ndarray, count: int, bandwidth: float, scale: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return latents of `draw_by_dimension`."""
    around = PromptLatents(prompts, np.zeros(len(scale)), scale)
    return draw_by_dimension(around, count, bandwidth, rng).latents
