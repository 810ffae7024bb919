"""Gaussian KDE per token, as the paper writes it (§2, Eq. 7): tokens are independent.

`z[k, n] = prompt[i(k, n), n] + h · σ · ε[k, n]`: neighbouring tokens of a sample come from
different networks.
"""

import numpy as np

from sane_core.generation.distributions.latents import (
    Drawn,
    PromptLatents,
    check_draw,
    on_no_prompt,
)
from sane_core.generation.distributions.noise import around


def draw_token(
    prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
) -> Drawn:
    """Draw a prompt and noise for every token of every sample.

    Args:
        prompts: At least one.
        count: Samples to draw.
        spread: Bandwidth h, in standard deviations of the training latents.
        rng: Source of the draw.
    """
    check_draw(prompts, count, spread)
    models, tokens, dimensions = prompts.latents.shape
    index = rng.integers(models, size=(count, tokens))
    rows = prompts.latents.reshape(-1, dimensions)

    def centre(sample: int, part: slice) -> np.ndarray:
        chosen = index[sample, part] * tokens + np.arange(part.start, part.stop)
        return rows.take(chosen, axis=0)

    shape = (count, tokens, dimensions)
    return on_no_prompt(around(centre, shape, spread * prompts.scale, rng))
