"""How far one accuracy-novelty front lies above another, in accuracy (beyond the paper).

A point is the mean over the models kept, so a mix of the models of two points lies on the line
between them: what a sampler reaches is the upper hull of its points. As an error overlap "of at
most" is asked for, the hull does not fall to the right.

Nothing is extrapolated. Left of a sampler's smallest overlap it has no front, and nothing is
compared there, whoever of the two reaches further. Right of the baseline's largest overlap nothing
is compared either. Right of the sampler's own largest one it keeps its best accuracy, which it has
there by the definition above; so a narrow sweep is never to its advantage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy import stats

LIMIT = 0.7
"""Largest error overlap that counts as new."""

GRID = 501
"""Overlaps at which fronts are compared."""


@dataclass(frozen=True)
class Point:
    """One draw of a sampler at one setting of its knob.

    Attributes:
        seed: Draws of one seed are compared with one another.
        overlap: Mean over the models kept of the largest error overlap with a training model.
        accuracy: Their mean test accuracy.
    """

    seed: int
    overlap: float
    accuracy: float


@dataclass(frozen=True)
class Gap:
    """Average advantage over the overlaps that both fronts have, up to a limit.

    Attributes:
        mean: Mean over the seeds, in accuracy; NaN where no seed has overlaps to compare at.
        low: Lower end of the 95 % interval of the mean (Student's t); NaN for fewer than two seeds.
        high: Its upper end.
        by_seed: Seed -> its advantage; NaN where there is nothing to compare.
        ranges: Seed -> smallest and largest overlap compared at; empty (NaN) likewise.
    """

    mean: float
    low: float
    high: float
    by_seed: dict[int, float]
    ranges: dict[int, tuple[float, float]]


def front_gap(sampler: Sequence[Point], baseline: Sequence[Point], limit: float = LIMIT) -> Gap:
    """Compare two fronts, seed by seed.

    Args:
        sampler: Points of the sampler, over its knob and the seeds.
        baseline: Points of the baseline, or of several ones together: their joint hull counts.
        limit: Largest error overlap to compare at.

    Raises:
        ValueError: If the two have not the same seeds, or none.
    """
    seeds = sorted({point.seed for point in sampler})
    others = sorted({point.seed for point in baseline})
    if not seeds or seeds != others:
        raise ValueError(
            f"both fronts must have points of the same seeds, got {seeds} and {others}"
        )
    by_seed, ranges = {}, {}
    for seed in seeds:
        ours, theirs = ([p for p in points if p.seed == seed] for points in (sampler, baseline))
        by_seed[seed], ranges[seed] = _advantage(ours, theirs, limit)
    found = np.array([value for value in by_seed.values() if np.isfinite(value)])
    mean = float(found.mean()) if len(found) else nan
    half = nan
    if len(found) > 1:
        error = float(found.std(ddof=1)) / len(found) ** 0.5
        half = float(stats.t.ppf(0.975, len(found) - 1)) * error
    return Gap(mean, mean - half, mean + half, by_seed, ranges)


def upper_hull(points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of what points reach: overlaps, rising, and accuracies, rising."""
    corners: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (p.overlap, -p.accuracy)):
        new = (point.overlap, point.accuracy)
        if corners and new[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _below(corners[-2], corners[-1], new):
            corners.pop()
        corners.append(new)
    overlaps, accuracies = np.array(corners).T
    return overlaps, accuracies


def _below(
    first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]
) -> bool:
    """Return whether the middle one lies on or below the line of the others."""
    rise = (middle[1] - first[1]) * (last[0] - first[0])
    return rise <= (last[1] - first[1]) * (middle[0] - first[0])


def _advantage(
    sampler: Sequence[Point], baseline: Sequence[Point], limit: float
) -> tuple[float, tuple[float, float]]:
    ours, theirs = upper_hull(sampler), upper_hull(baseline)
    low = max(ours[0][0], theirs[0][0])
    high = min(limit, max(point.overlap for point in baseline))
    if low >= high:
        return nan, (nan, nan)
    at = np.linspace(low, high, GRID)
    # Beyond its last corner `interp` keeps a hull's best accuracy.
    difference = np.interp(at, *ours) - np.interp(at, *theirs)
    return float(np.trapezoid(difference, at) / (high - low)), (float(low), float(high))
