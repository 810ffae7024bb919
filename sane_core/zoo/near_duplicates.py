"""Find pairs of checkpoints whose sorted weights agree within rounding to half precision.

Two values agree where `|a - b| <= RELATIVE · max(|a|, |b|) + ABSOLUTE`, two checkpoints where all
sorted values of all entries do. Rounding keeps the order of values, so a rounded copy agrees,
however its units were reordered before. Small weights must agree as closely, for their size, as
large ones do: one step of training moves those by far more.

Candidates are found by their sketches. In `_coordinates`, values that agree lie within `_RADIUS`,
so no pair is missed; every candidate is then compared weight by weight. Sorted values that agree
include those that are equal, so `suspects` misses no reordered copy either. Memory holds a sketch
per checkpoint, the candidates of a block, and `_MEMORY` of weights.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from sane_core.zoo.fingerprints import Placed, ordered_values, read_placed
from sane_core.zoo.sides import Sides

RELATIVE = 2.0**-8
"""bfloat16 rounds to within 2**-9, float16 to within 2**-11: any two copies agree."""
ABSOLUTE = 2.0**-24
"""Spacing of float16 next to zero."""
_RADIUS = 0.004
"""Just above -ln(1 - RELATIVE), the farthest that values which agree lie apart."""
_BLOCK = 256
"""Checkpoints whose candidates are looked for at a time."""
_ENOUGH = 20_000
"""Candidates that are compared at a time; each comparison reads row groups."""
_MEMORY = 256 * 2**20
"""Bytes of weights that are compared at a time, except where two checkpoints have more."""

_Pair = tuple[Placed, Placed]
_Sorted = dict[str, np.ndarray]


class Near(NamedTuple):
    """Two checkpoints that agree; `difference` is the largest between sorted values."""

    later: Placed
    earlier: Placed
    difference: float


def suspects(prints: Sequence[Placed]) -> list[Placed]:
    """Return the checkpoints whose sketch comes near that of another run.

    Only they can be reordered or rounded copies; neighbours are counted, not listed.

    Args:
        prints: By run and epoch; of those with equal weights only one.

    Returns:
        Some of them, in their order.
    """
    found: list[Placed] = []
    for alike in _by_layout(prints):
        points = _points(alike)
        near = _neighbours(points, points)
        start = 0
        for _, own in groupby(alike, key=attrgetter("run")):
            stop = start + len(list(own))
            run = np.arange(start, stop)
            some = run[near[run] > 1]  # each is its own neighbour
            if len(some):
                others = near[some] > _neighbours(points[run], points[some])
                found += [alike[i] for i in some[others]]
            start = stop
    return sorted(found, key=lambda each: (each.run, each.epoch))


def near_duplicates(prints: Sequence[Placed], folder: Path, sides: Sides) -> Iterator[Near]:
    """Find checkpoints of different runs that agree.

    Not every pair is reported: every checkpoint that agrees with an earlier one is, with one of
    them, and so many more that all runs that belong together are joined.

    Args:
        prints: Fingerprints, by run and epoch; of those with equal sorted values only one.
        folder: The zoo's `weights` folder.
        sides: Runs known to belong together; what is found is joined.

    Yields:
        The pairs.
    """
    for alike in _by_layout(prints):
        pairs: list[_Pair] = []
        for block in _candidates(alike):
            pairs += block
            if len(pairs) >= _ENOUGH:
                yield from _confirmed(pairs, folder, sides)
                pairs = []
        yield from _confirmed(pairs, folder, sides)


def _coordinates(sketches: np.ndarray) -> np.ndarray:
    """Stretch values so that those which agree are equally near whatever their size."""
    scale = RELATIVE / ABSOLUTE
    return np.sign(sketches) * np.log1p(scale * np.abs(sketches.astype(np.float64)))


def _by_layout(prints: Sequence[Placed]) -> list[list[Placed]]:
    layouts: dict[bytes, list[Placed]] = defaultdict(list)
    for each in prints:
        layouts[each.fingerprint.layout].append(each)
    return list(layouts.values())


def _points(alike: Sequence[Placed]) -> np.ndarray:
    return _coordinates(np.stack([each.fingerprint.sketch for each in alike]))


def _neighbours(points: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Count the points that may agree with each of some, themselves among them."""
    tree = cKDTree(points)
    counts: np.ndarray = tree.query_ball_point(
        of, _RADIUS, p=np.inf, workers=-1, return_length=True
    )
    return counts


def _candidates(alike: Sequence[Placed]) -> Iterator[list[_Pair]]:
    """Yield pairs (later, earlier) of different runs, the nearest of each later one first."""
    points = _points(alike)
    runs = np.array([each.run for each in alike])
    tree = cKDTree(points)
    for start in range(0, len(alike), _BLOCK):
        pairs: list[_Pair] = []
        found = tree.query_ball_point(points[start : start + _BLOCK], _RADIUS, p=np.inf)
        for later, near in enumerate(found, start):
            earlier = np.sort(np.array([i for i in near if i < later], np.int64))
            earlier = earlier[runs[earlier] != runs[later]]
            distance = np.abs(points[earlier] - points[later]).max(axis=1)
            nearest = earlier[np.argsort(distance, kind="stable")]
            pairs += [(alike[later], alike[i]) for i in nearest]
        yield pairs


def _confirmed(pairs: list[_Pair], folder: Path, sides: Sides) -> Iterator[Near]:
    """Compare candidates in rounds, the next of every later checkpoint in each.

    Whoever has been found and joined needs no further comparison.
    """
    found: set[tuple[int, int]] = set()
    while pairs:
        now: list[_Pair] = []
        rest: list[_Pair] = []
        taken: set[tuple[int, int]] = set()
        for later, earlier in pairs:
            key = (later.run, later.epoch)
            if key in found and sides.joined(later.run, earlier.run):
                continue
            (rest if key in taken else now).append((later, earlier))
            taken.add(key)
        for (later, earlier), difference in zip(now, _differences(now, folder), strict=True):
            if difference is not None:
                found.add((later.run, later.epoch))
                sides.join(later.run, earlier.run)
                yield Near(later, earlier, difference)
        pairs = rest


def _differences(pairs: Sequence[_Pair], folder: Path) -> Iterator[float | None]:
    """Yield the largest difference of every pair, None where it does not agree."""
    for batch in _batches(pairs):
        wanted = {(each.run, each.epoch): each for pair in batch for each in pair}
        weights = {
            (each.run, each.epoch): {name: ordered_values(values) for name, values in entries}
            for each, entries in read_placed(wanted.values(), folder)
        }
        for a, b in batch:
            yield _largest_difference(weights[a.run, a.epoch], weights[b.run, b.epoch])


def _batches(pairs: Sequence[_Pair]) -> Iterator[list[_Pair]]:
    """Cut pairs so that the weights of each batch fit into `_MEMORY`."""
    batch: list[_Pair] = []
    filled = 0
    for pair in pairs:
        size = 4 * sum(each.fingerprint.values for each in pair)
        if batch and filled + size > _MEMORY:
            yield batch
            batch, filled = [], 0
        batch.append(pair)
        filled += size
    if batch:
        yield batch


def _largest_difference(a: _Sorted, b: _Sorted) -> float | None:
    largest = 0.0
    for name, values in a.items():
        difference = np.abs(values - b[name])
        allowed = RELATIVE * np.maximum(np.abs(values), np.abs(b[name])) + ABSOLUTE
        if (difference > allowed).any():
            return None
        largest = max(largest, float(difference.max(initial=0)))
    return largest
