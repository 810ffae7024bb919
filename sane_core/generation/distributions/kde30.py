"""KDE30: a density over the best 30 % of the prompts (Schürholt et al., 2022; paper §5.2).

The best are the best on validation images. Draws are those of `kde_shared_noise.py` around them;
`best_prompts` puts the same filter in front of any other distribution.
"""

import numpy as np

from sane_core.generation.distributions.kde_shared_noise import draw_shared_noise
from sane_core.generation.distributions.latents import Drawn, PromptLatents

SHARE = 0.3


def best_prompts(prompts: PromptLatents, share: float = SHARE) -> np.ndarray:
    """Return which prompts are the best on validation images.

    Args:
        prompts: With their validation accuracy.
        share: How many of them, in (0, 1]; one at least is kept, and ties by order.

    Returns:
        int64 [kept], best first.

    Raises:
        ValueError: If there is no validation accuracy, or the share is out of range.
    """
    if prompts.validation_accuracy is None:
        raise ValueError("KDE30 needs the prompts' validation_accuracy, got none: score them first")
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    ranked = np.argsort(-np.asarray(prompts.validation_accuracy), kind="stable")
    return ranked[: max(1, round(share * len(ranked)))]


def draw_kde30(
    prompts: PromptLatents, count: int, spread: float, rng: np.random.Generator
) -> Drawn:
    """Draw around the best prompts, with shared noise.

    Args:
        prompts: At least one, with their validation accuracy.
        count: Samples to draw.
        spread: Bandwidth h, in standard deviations of the training latents.
        rng: Source of the draw.

    Returns:
        Samples; their prompts are numbered as in `prompts`.

    Raises:
        ValueError: If there is no validation accuracy.
    """
    best = best_prompts(prompts)
    drawn = draw_shared_noise(prompts.only(best), count, spread, rng)
    return Drawn(drawn.latents, best[drawn.prompt])
