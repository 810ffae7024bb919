"""Gaussian KDE with shared noise: a sample stands on one prompt and one noise vector.

`z[k, n] = prompt[i(k), n] + h · σ · ε[k]`, σ the standard deviation of the training latents.

Differs from the paper: Eq. 7 draws every token independently (`kde_token.py`), which leaves samples
at chance level; the published code seeds each token alike, and so shares the draw, as this does.
"""

import numpy as np

from sane_core.generation.distributions.latents import Drawn, PromptLatents, check_draw
from sane_core.generation.distributions.noise import shifted


def draw_shared_noise(
    prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
) -> Drawn:
    """Draw a prompt and one noise vector per sample, the same for all its tokens.

    Args:
        prompts: At least one.
        count: Samples to draw.
        spread: Bandwidth h, in standard deviations of the training latents.
        rng: Source of the draw.
    """
    check_draw(prompts, count, spread)
    index = rng.integers(len(prompts.latents), size=count)
    noise = rng.standard_normal((count, len(prompts.scale)))
    shift = (spread * prompts.scale * noise).astype(np.float32)
    return Drawn(shifted(prompts.latents, index, shift), index)
