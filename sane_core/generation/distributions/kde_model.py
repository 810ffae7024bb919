"""Gaussian KDE over whole models: a sample stands on one prompt, with its own noise on every token.

`z[k, n] = prompt[i(k), n] + h · σ · ε[k, n]`: one joint density over the sequence.

Differs from the paper: Eq. 7 has a density per token (`kde_token.py`).
"""

import numpy as np

from sane_core.generation.distributions.latents import Drawn, PromptLatents, check_draw
from sane_core.generation.distributions.noise import around


def draw_model(
    prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
) -> Drawn:
    """Draw a prompt per sample, and independent noise for every token.

    Args:
        prompts: At least one.
        count: Samples to draw.
        spread: Bandwidth h, in standard deviations of the training latents.
        rng: Source of the draw.
    """
    check_draw(prompts, count, spread)
    latents = prompts.latents
    index = rng.integers(len(latents), size=count)
    shape = (count, *latents.shape[1:])

    def centre(sample: int, part: slice) -> np.ndarray:
        return latents[index[sample], part]

    return Drawn(around(centre, shape, spread * prompts.scale, rng), index)
