"""The networks of a zoo that are most like a given one: exact search among embeddings.

The distance is the Euclidean one after every dimension was brought to mean 0 and deviation 1 over
the zoo, divided by the root of the number of dimensions. So 1 means: apart by one deviation of the
zoo in a typical dimension, whatever the pooling and its width. Cosine is not used: it needs a
centre, and about that of the zoo it is blind to how far a network lies from it, which is what tells
a stranger.

`nearest` is exact, and equally near points come in their order: the result depends on no batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FLOOR = 1e-3
"""Smallest deviation of a dimension, in those of the median dimension: no dimension that hardly
varies over the zoo, up to rounding perhaps, decides alone."""
SAMPLE = 1000
"""Points of a zoo whose own neighbours are sought."""
UNLIKE = 1.5
"""How many times as far as the zoo's own networks a network must lie to be unlike the zoo."""
WIDEST = 4096
"""Dimensions of an embedding that are searched, where there is a shorter one."""
_ROWS = 4096
_VALUES = 2**23
"""Distances that are held at a time."""


@dataclass(frozen=True)
class Space:
    """What distances are measured in.

    Attributes:
        centre: float64 [d], the zoo's means.
        scale: float64 [d], positive.
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> "Space":
        """Return the space of a zoo's embeddings, float32 [n, d].

        Raises:
            ValueError: If there are none, or a value is not finite.
        """
        if points.ndim != 2 or not points.size:
            raise ValueError(
                f"embeddings must be [networks, d], at least one, got {list(points.shape)}"
            )
        if not np.isfinite(points).all():
            raise ValueError("embeddings must be finite, got NaN or infinity; embed the zoo again")
        centre = points.mean(axis=0, dtype=np.float64)
        squares = sum(((part - centre) ** 2).sum(axis=0) for part in blocks(points))
        deviation = np.sqrt(squares / len(points))
        scale = np.maximum(deviation, FLOOR * np.median(deviation))
        scale[scale == 0] = deviation.max() or 1.0
        return cls(centre, scale * np.sqrt(points.shape[1]))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return points [n, d] as float32, so that plain Euclidean distances count.

        Raises:
            ValueError: If they have another number of dimensions than the zoo's.
        """
        if points.ndim != 2 or points.shape[1] != len(self.centre):
            raise ValueError(
                f"an embedding must have {len(self.centre)} dimensions, as the zoo's have, got "
                f"{points.shape[-1]}; embed both by one SANE with one pooling"
            )
        placed = np.empty(points.shape, np.float32)
        for part, out in zip(blocks(points), blocks(placed), strict=True):
            out[:] = (part - self.centre) / self.scale
        return placed


@dataclass(frozen=True)
class Neighbours:
    """The nearest points of each query, the nearest first.

    Attributes:
        rows: int64 [queries, k].
        distances: float64 [queries, k].
    """

    rows: np.ndarray
    distances: np.ndarray


def pooling_of(poolings: dict[str, int]) -> str:
    """Return which of a zoo's embeddings are searched: name -> dimensions.

    Per layer, as `Sane.embed` pools unless told otherwise; the mean where that is too wide.
    """
    wanted = sorted(
        poolings, key=lambda name: (not name.endswith("_layers"), not name.endswith("_mean"))
    )
    fitting = [name for name in wanted if poolings[name] <= WIDEST]
    return (fitting or sorted(poolings, key=poolings.__getitem__))[0]


def nearest(
    queries: np.ndarray,
    points: np.ndarray,
    k: int,
    runs: np.ndarray | None = None,
    own: np.ndarray | None = None,
) -> Neighbours:
    """Return the k nearest points of every query.

    Args:
        queries: float32 [q, d], placed in a space.
        points: float32 [n, d], placed in the same.
        k: How many.
        runs: Run of every point, where only the nearest point of each run counts; None for all.
        own: Run of every query, whose points do not count.

    Raises:
        ValueError: If there are no k points, or runs.
    """
    count, what = _available(points, runs, own)
    if not 1 <= k <= count:
        raise ValueError(f"k must be from 1 to {count}, the zoo's {what}, got {k}")
    rows = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    lengths = np.einsum("nd,nd->n", points, points)
    step = max(1, _VALUES // len(points))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        upper, slack = _bounds(part, points, lengths)
        if runs is not None and own is not None:
            upper[own[start : start + step, None] == runs] = np.inf
        best = upper if runs is None else _least_of_runs(upper, runs)
        may = upper - slack <= np.partition(best, k - 1, axis=1)[:, k - 1 : k]
        for i, query in enumerate(part):
            found = _exact(query, points, np.flatnonzero(may[i]), k, runs)
            rows[start + i], distances[start + i] = found
    return Neighbours(rows, distances)


def usual_distance(points: np.ndarray, runs: np.ndarray) -> float:
    """Return how far a zoo's networks are from the nearest of another run: the 99th percentile.

    Over at most `SAMPLE` of them, evenly spaced. NaN where there is only one run.

    Args:
        points: float32 [n, d], placed in a space.
        runs: int64 [n].
    """
    if len(np.unique(runs)) < 2:
        return float("nan")
    at = evenly(len(points), SAMPLE)
    found = nearest(points[at], points, 1, runs, runs[at])
    return float(np.percentile(found.distances[:, 0], 99))


def blocks(points: np.ndarray) -> Iterator[np.ndarray]:
    """Yield points some thousand rows at a time: in float64, all of them would be too many."""
    for start in range(0, len(points), _ROWS):
        yield points[start : start + _ROWS]


def evenly(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the indices below `count`, evenly spaced, the first among them."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def _available(
    points: np.ndarray, runs: np.ndarray | None, own: np.ndarray | None
) -> tuple[int, str]:
    """Return how many there are to find, and what they are."""
    if runs is None:
        return len(points), "checkpoints"
    count = len(np.unique(runs))
    return (count, "runs") if own is None else (count - 1, "other runs")


def _least_of_runs(values: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Return the smallest value of every run, [q, runs]."""
    if (runs[1:] < runs[:-1]).any():
        order = np.argsort(runs, kind="stable")
        values, runs = values[:, order], runs[order]
    starts = np.unique(runs, return_index=True)[1]
    return np.minimum.reduceat(values, starts, axis=1)


def _bounds(
    queries: np.ndarray, points: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return upper bounds of squared distances, and how far below them the truth may be.

    By |a|² + |b|² - 2ab in float32, whose rounding errors are at most d · 2⁻²³ of |a|² + |b|².
    """
    both = np.einsum("qd,qd->q", queries, queries)[:, None] + lengths
    error = np.float32((queries.shape[1] + 8) * 2.0**-23)
    return both * (1 + error) - 2 * (queries @ points.T), 2 * error * both


def _exact(
    query: np.ndarray,
    points: np.ndarray,
    candidates: np.ndarray,
    k: int,
    runs: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest candidates and their distances, in float64; ties in their order."""
    apart = points[candidates].astype(np.float64) - query
    distances = np.sqrt(np.einsum("nd,nd->n", apart, apart))
    order = np.lexsort((candidates, distances))
    if runs is not None:
        order = order[np.sort(np.unique(runs[candidates[order]], return_index=True)[1])]
    return candidates[order[:k]], distances[order[:k]]
