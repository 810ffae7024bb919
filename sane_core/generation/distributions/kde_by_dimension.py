"""Gaussian KDE per latent dimension, for models of one latent (Schürholt et al., 2022).

This is how the earlier hyper-representations were sampled: given the prompts, dimensions count as
independent, so a sample takes each from another prompt.

Differs from that work: h is in standard deviations of the training latents, as everywhere here.
"""

import numpy as np

from sane_core.generation.distributions.latents import (
    Drawn,
    PromptLatents,
    check_draw,
    on_no_prompt,
)


def draw_by_dimension(
    prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
) -> Drawn:
    """Draw a prompt and noise for every dimension of every sample.

    Args:
        prompts: At least one, of one latent each.
        count: Samples to draw.
        spread: Bandwidth h, in standard deviations of the training latents.
        rng: Source of the draw.

    Raises:
        ValueError: If models have more than one latent.
    """
    check_draw(prompts, count, spread)
    models, latents, dimensions = prompts.latents.shape
    if latents != 1:
        raise ValueError(f"prompts must have one latent each, got {latents}: use another density")
    index = rng.integers(models, size=(count, dimensions))
    drawn = prompts.latents[index, 0, np.arange(dimensions)]
    noise = spread * prompts.scale * rng.standard_normal((count, dimensions))
    return on_no_prompt((drawn + noise).astype(np.float32)[:, None])
