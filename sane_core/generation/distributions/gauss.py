"""A Gaussian prior that needs no prompt (GAUSS, paper §5.2): bootstrapping from nothing.

`z[k, n] = μ + spread · σ · ε[k, n]`, μ and σ the training latents' mean and standard deviation. At
spread 1 it has their moments, dimension by dimension.
"""

import numpy as np

from sane_core.generation.distributions.latents import (
    Drawn,
    PromptLatents,
    check_draw,
    on_no_prompt,
)
from sane_core.generation.distributions.noise import around


def draw_gauss(
    prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
) -> Drawn:
    """Draw every token from the training latents' Gaussian.

    Args:
        prompts: Their number of tokens counts, they themselves do not; there may be none.
        count: Samples to draw.
        spread: Times the standard deviation of the training latents.
        rng: Source of the draw.
    """
    check_draw(prompts, count, spread, at_least=0)
    mean = np.asarray(prompts.mean, np.float32)
    shape = (count, *prompts.latents.shape[1:])
    return on_no_prompt(around(lambda *_: mean, shape, spread * prompts.scale, rng))
