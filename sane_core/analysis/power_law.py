"""Fit a power law p(x) ∝ x^-α, x >= x_min, to the tail of a sample (Clauset et al. 2009).

For each candidate x_min, α is the maximum-likelihood estimate on the values from there on; the
candidate is taken whose fitted distribution is nearest to the sample's, in the Kolmogorov–Smirnov
distance. The candidates, and the rule for small samples, are WeightWatcher's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SMALL = 20
"""A sample below this size has a rule of its own."""
SHORTEST_TAIL = 8
"""Values that a fit needs; in small samples, also values of a tail."""
_REWARD = 0.868
"""What a small sample's distance may grow by for a longer tail, times 1/√n: WeightWatcher's."""
_BLOCK = 2**20
"""Values of a block of candidates times tails, in memory at a time."""


@dataclass(frozen=True)
class PowerLaw:
    """A fitted tail.

    Attributes:
        alpha: Exponent of the density.
        x_min: Where the tail begins.
        distance: Kolmogorov–Smirnov distance of the tail to the fit.
        tail: Values in the tail.
    """

    alpha: float
    x_min: float
    distance: float
    tail: int


def fit_power_law(values: np.ndarray) -> PowerLaw | None:
    """Fit a power law to the tail of a sample.

    Differs from WeightWatcher: fewer than eight values are not fitted.

    Args:
        values: Positive numbers [n], in any order.

    Returns:
        The fit; None where there are too few values, or all are equal.

    Raises:
        ValueError: If a value is not a positive number.
    """
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("a power law must be fitted to positive numbers, got others")
    values = np.sort(values.astype(np.float64))
    if len(values) < SHORTEST_TAIL or values[0] == values[-1]:
        return None
    logs = np.log(values)
    small = len(values) < SMALL
    alphas = _exponents(logs, unbiased=small)
    distances = _distances(logs, alphas)
    tails = len(values) - np.arange(len(alphas))
    score = distances - _REWARD / np.sqrt(tails) if small else distances
    at = int(np.argmin(np.where(tails >= (SHORTEST_TAIL if small else 2), score, np.inf)))
    return PowerLaw(float(alphas[at]), float(values[at]), float(distances[at]), int(tails[at]))


def _exponents(logs: np.ndarray, unbiased: bool) -> np.ndarray:
    """Return α for the tail from each value but the last on; infinite where a tail is constant."""
    tails = len(logs) - np.arange(len(logs) - 1)
    # The sum of log(x / x_min) over a tail, built from its end of positive terms only.
    sums = np.cumsum(((tails - 1) * np.diff(logs))[::-1])[::-1]
    with np.errstate(divide="ignore"):
        return 1 + (tails - unbiased) / sums


def _distances(logs: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Return the distance of each tail to its fit; 1 where there is no fit."""
    found = np.ones(len(alphas))
    for rows in _blocks(len(alphas), len(logs)):
        tail = logs[rows.start :]
        beyond = np.arange(rows.start, len(logs)) - np.arange(rows.start, rows.stop)[:, None]
        ratio = tail - logs[rows, None]
        slope = 1 - alphas[rows, None]
        fitted = 1 - np.exp(np.where(np.isfinite(slope), slope, -1.0) * np.maximum(ratio, 0.0))
        sampled = beyond / (len(logs) - np.arange(rows.start, rows.stop))[:, None]
        gaps = np.where(beyond >= 0, np.abs(fitted - sampled), 0.0)
        found[rows] = np.where(np.isfinite(alphas[rows]), gaps.max(axis=1), 1.0)
    return found


def _blocks(candidates: int, values: int) -> Iterator[slice]:
    step = max(1, _BLOCK // values)
    for start in range(0, candidates, step):
        yield slice(start, min(start + step, candidates))
