"""What tells two checkpoints apart without keeping their weights: a few hundred bytes for each.

A fingerprint needs no knowledge of the architecture. Reordering units moves values within an entry
and never between entries, so the least, the middle and the largest value of every entry stay what
they are. It is taken of the weights in memory while they are written, or of a finished folder, and
both give the same. Nothing is sorted for it: the middle value is found by partition, at a quarter
of the time, and only what comes near another run is sorted later (`near_duplicates.py`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from sane_core.zoo.weight_entries import Entry, Place, read_entries, weight_files

_BYTES = 16
_SHORT = 2**12
"""Values that are sorted as fast as partitioned."""
_SAMPLE = 2**10
"""Values that say whether one value is frequent."""

Weights = list[tuple[str, np.ndarray]]
"""Entries of a checkpoint without buffers, with the shapes that they have in it."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the weights of a checkpoint are like.

    Attributes:
        layout: Digest of names and shapes; only equal layouts are compared.
        exact: Digest of all values, in their order.
        sketch: float32 [3 · entries], the least, the middle and the largest value of each entry.
        values: How many weights there are.
    """

    layout: bytes
    exact: bytes
    sketch: np.ndarray
    values: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A checkpoint of a zoo: its fingerprint, and where its weights are."""

    run: int
    epoch: int
    fingerprint: Fingerprint
    place: Place


def fingerprint_of(weights: Iterable[tuple[str, np.ndarray]]) -> Fingerprint | None:
    """Take the fingerprint of a checkpoint.

    Args:
        weights: Entry and float32 array of its own shape, in any order; no buffers.

    Returns:
        None where a value is not finite (a training that diverged), or where there is no weight:
        such a network is like nothing.
    """
    layout, exact = hashlib.sha256(), hashlib.sha256()
    ends, size = [], 0
    for described, values in in_order(weights):
        layout.update(described)
        exact.update(values.data)
        ends.append(_ends(values))
        size += len(values)
    sketch = np.concatenate(ends) if ends else np.zeros(0, np.float32)
    if not ends or not np.isfinite(sketch).all():
        return None
    return Fingerprint(layout.digest()[:_BYTES], exact.digest()[:_BYTES], sketch, size)


def fingerprints(folder: Path) -> list[Placed]:
    """Take the fingerprint of every checkpoint of a zoo, those left out that have none.

    Args:
        folder: A zoo's `weights` folder.

    Returns:
        By run, then epoch.

    Raises:
        ValueError: If a checkpoint stands there twice.
    """
    found: list[Placed] = []
    seen: set[tuple[int, int]] = set()
    for path in weight_files(folder):
        for (run, epoch), entries in _checkpoints(path):
            if (run, epoch) in seen:
                raise ValueError(
                    "a checkpoint must stand in the weights once, got run "
                    f"{run}, epoch {epoch} again in {path.name}; build the zoo again"
                )
            seen.add((run, epoch))
            fingerprint = fingerprint_of(_weights(entries))
            if fingerprint is not None:
                groups = [entry.row_group for entry in entries]
                place = Place(path.name, min(groups), max(groups))
                found.append(Placed(run, epoch, fingerprint, place))
    return sorted(found, key=lambda each: (each.run, each.epoch))


def read_placed(wanted: Collection[Placed], folder: Path) -> Iterator[tuple[Placed, Weights]]:
    """Read weights again, a row group in memory at a time.

    Args:
        wanted: Checkpoints to read.
        folder: The zoo's `weights` folder.

    Yields:
        Each with its weights, in the order of the files.
    """
    row_groups: dict[str, set[int]] = defaultdict(set)
    for each in wanted:
        row_groups[each.place.file] |= set(range(each.place.first, each.place.last + 1))
    by_key = {(each.run, each.epoch): each for each in wanted}
    for file in sorted(row_groups):
        for key, entries in _checkpoints(folder / file, sorted(row_groups[file])):
            if key in by_key and by_key[key].place.file == file:
                yield by_key[key], _weights(entries)


def ordered_digest(weights: Iterable[tuple[str, np.ndarray]]) -> bytes:
    """Return the digest of all values, sorted within each entry."""
    digest = hashlib.sha256()
    for _, values in in_order(weights):
        digest.update(ordered_values(values).data)
    return digest.digest()[:_BYTES]


def ordered_values(values: np.ndarray) -> np.ndarray:
    """Return the values of an entry sorted, -0 written as 0."""
    ordered = np.sort(values, axis=None)
    ordered += 0.0
    return ordered


def in_order(weights: Iterable[tuple[str, np.ndarray]]) -> list[tuple[bytes, np.ndarray]]:
    """Return name and shape, and the flat values, of every entry; sorted by the former."""
    described = [
        (repr((name, values.shape)).encode(), np.ascontiguousarray(values).reshape(-1))
        for name, values in weights
    ]
    return sorted(described, key=itemgetter(0))


def _checkpoints(
    path: Path, row_groups: Iterable[int] | None = None
) -> Iterator[tuple[tuple[int, int], list[Entry]]]:
    for key, entries in groupby(read_entries(path, row_groups), key=lambda e: (e.run, e.epoch)):
        yield key, list(entries)


def _weights(entries: Iterable[Entry]) -> Weights:
    return [(entry.name, entry.values.reshape(entry.shape)) for entry in entries]


def _ends(values: np.ndarray) -> np.ndarray:
    """Return the least, the middle and the largest value; NaN, if there is any, as the largest."""
    if not len(values):
        return np.zeros(3, np.float32)
    middle = len(values) // 2
    if len(values) < _SHORT or _has_frequent(values):
        return np.sort(values)[[0, middle, -1]]
    parted = np.partition(values, middle)
    return np.array([parted.min(), parted[middle], parted.max()])


def _has_frequent(values: np.ndarray) -> bool:
    """Guess whether one value makes up an eighth: then partition takes longer than to sort."""
    sample = np.sort(values[:: len(values) // _SAMPLE])
    apart = len(sample) // 8
    return bool((sample[apart:] == sample[:-apart]).any())
