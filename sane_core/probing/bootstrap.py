"""Intervals over resampled runs: rows of one run are not independent, so runs are drawn.

All kinds of features see the same resamples: differences between them are paired, and what makes
one draw of runs easy or hard for all of them cancels.
"""

import numpy as np


def resample_r2(
    target: np.ndarray,
    predictions: np.ndarray,
    runs: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
) -> np.ndarray:
    """Return R² of every kind of features on resampled runs.

    Args:
        target: float64 [rows].
        predictions: float64 [features, rows].
        runs: int [rows].
        rng: Draws the runs, the same for all features.
        resamples: How often.

    Returns:
        float64 [features, resamples]; NaN where the target is constant in a resample.
    """
    group, weight = _drawn(runs, rng, resamples)
    shifted = target - target.mean()  # a large mean would drown the variance in rounding
    rows, total, square = (
        weight @ np.bincount(group, numbers)
        for numbers in (np.ones(len(target)), shifted, shifted**2)
    )
    variance = square / rows - (total / rows) ** 2
    variance = np.where(variance > 1e-12 * shifted.var(), variance, np.nan)
    error = np.stack([np.bincount(group, (target - each) ** 2) for each in predictions])
    return 1 - (error @ weight.T / rows) / variance


def resample_mean(
    values: np.ndarray, runs: np.ndarray, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Return the mean of values [features, rows] on resampled runs, [features, resamples]."""
    group, weight = _drawn(runs, rng, resamples)
    rows = weight @ np.bincount(group)
    total = np.stack([np.bincount(group, each) for each in values])
    return total @ weight.T / rows


def interval(resampled: np.ndarray) -> np.ndarray:
    """Return the 95 % interval of resampled values [..., resamples], as [2, ...]."""
    if not np.isfinite(resampled).any():
        return np.full((2, *resampled.shape[:-1]), np.nan)
    return np.nanquantile(resampled, [0.025, 0.975], axis=-1)


def _drawn(
    runs: np.ndarray, rng: np.random.Generator, resamples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each row's run, and how often each run is drawn [resamples, runs]."""
    names, group = np.unique(runs, return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    return group, rng.multinomial(len(names), share, size=resamples).astype(np.float64)
