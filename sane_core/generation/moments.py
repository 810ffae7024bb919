"""Mean and standard deviation of latents, model by model: what bandwidths are measured in."""

from collections.abc import Iterable

import numpy as np


def moments_of(latents: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments over all tokens of all models.

    Args:
        latents: Of each model, float32 [N, d_z], N the same for all.

    Returns:
        (mean, standard deviation), float64 [d_z]: those of all models stacked, up to rounding.

    Raises:
        ValueError: If there is no model, or N differs.
    """
    means, variances, lengths = [], [], set()
    for each in latents:
        means.append(each.mean(0, dtype=np.float64))
        variances.append(each.var(0, dtype=np.float64))
        lengths.add(len(each))
    if len(lengths) != 1:
        raise ValueError(
            "moments need at least one model, and models of equal length, got lengths "
            f"{sorted(lengths)}"
        )
    # Of groups of equal size: the mean of their variances, and the variance of their means.
    spread = np.mean(variances, axis=0) + np.var(means, axis=0)
    return np.mean(means, axis=0), np.sqrt(spread)
