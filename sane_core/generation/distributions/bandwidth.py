"""The bandwidth h of a KDE over latents: by Scott's rule, or chosen on validation.

Scott (1992): `h = σ · n^(-1 / (d + 4))` for n points of standard deviation σ in d dimensions, for a
density with the same shape as the points. Here n is the number of prompts and σ their own
deviation, which is smaller than that of the training latents, the unit of h: prompts are of one
epoch, and a token of theirs differs less between networks than tokens do among each other.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sane_core.generation.distributions.kde30 import best_prompts
from sane_core.generation.distributions.latents import PromptLatents

DIMENSIONS: Mapping[str, Callable[[int, int], int]] = {
    "shared_noise": lambda tokens, d_z: d_z,
    "kde30": lambda tokens, d_z: d_z,
    "model": lambda tokens, d_z: tokens * d_z,
    "token": lambda tokens, d_z: d_z,
    "by_dimension": lambda tokens, d_z: 1,
}
"""Distribution -> (N, d_z) -> d: in how many dimensions its noise is drawn at once."""

BLOCK = 256
"""Tokens at a time, so that float64 copies stay small."""


def scott(prompts: PromptLatents, distribution: str) -> float:
    """Return the bandwidth of Scott's rule.

    σ is the root mean square, over tokens and dimensions, of the standard deviation over prompts
    of each token, in standard deviations of the training latents.

    Args:
        prompts: At least two; of KDE30, those that it keeps count.
        distribution: A key of `DIMENSIONS`.

    Returns:
        h > 0, in standard deviations of the training latents.

    Raises:
        ValueError: If prompts have no deviation, or the distribution has no bandwidth.
    """
    if distribution not in DIMENSIONS:
        known = ", ".join(DIMENSIONS)
        raise ValueError(f"{distribution} has no bandwidth, those that have one are: {known}")
    if distribution == "kde30":
        prompts = prompts.only(best_prompts(prompts))
    count, tokens, d_z = prompts.latents.shape
    if count < 2:
        raise ValueError(f"Scott's rule needs at least 2 prompts, got {count}: give a bandwidth")
    used = np.asarray(prompts.scale) > 0
    variance = np.zeros(d_z)
    for first in range(0, tokens, BLOCK):
        block = prompts.latents[:, first : first + BLOCK]
        variance += block.var(0, ddof=1, dtype=np.float64).sum(0)
    relative = variance[used] / tokens / np.asarray(prompts.scale)[used] ** 2
    sigma = float(np.sqrt(relative.mean())) if used.any() else 0.0
    if sigma == 0:
        raise ValueError("Scott's rule needs prompts that differ, all are equal: give a bandwidth")
    return sigma * count ** (-1 / (DIMENSIONS[distribution](tokens, d_z) + 4))


def choose(candidates: Sequence[float], score: Callable[[float], float]) -> float:
    """Return the bandwidth whose kept samples are best on validation data.

    Args:
        candidates: Bandwidths > 0.
        score: Bandwidth -> validation score of the samples kept, larger is better; one that is
            not a number never wins.

    Returns:
        The best, among equals the largest, whose samples are the most diverse.

    Raises:
        ValueError: If there is no candidate, one is out of range, or none has a score.
    """
    if not candidates:
        raise ValueError("candidates must hold at least one bandwidth, got none")
    if not all(h > 0 and np.isfinite(h) for h in candidates):
        raise ValueError(f"bandwidths must be finite and > 0, got {list(candidates)}")
    scored = [(score(h), h) for h in candidates]
    known = [pair for pair in scored if not np.isnan(pair[0])]
    if not known:
        raise ValueError(f"no bandwidth of {list(candidates)} has a score that is a number")
    return max(known)[1]
