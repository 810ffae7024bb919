"""What tells two checkpoints apart without keeping their weights: a few hundred bytes for each.

A fingerprint needs no knowledge of the architecture. Reordering units moves values within an entry
and never between entries, so the sorted values of every entry stay what they are.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sane_core.zoo.weight_entries import Entry, read_entries, weight_files

_BYTES = 16
_LARGE = 2**18
"""Weights of a checkpoint from which its entries are sorted and digested on several cores."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One checkpoint.

    Attributes:
        run: Its run.
        epoch: Its epoch.
        layout: Digest of names and shapes; only equal layouts are compared.
        exact: Digest of all values, in their order.
        ordered: Digest of all values, sorted within each entry.
        sketch: float32 [3 · entries], the least, the middle and the largest value of each entry.
        values: How many weights it has.
        file: Number of its file, in the order of `weight_files`.
        row_groups: First and last row group it stands in.
    """

    run: int
    epoch: int
    layout: bytes
    exact: bytes
    ordered: bytes
    sketch: np.ndarray
    values: int
    file: int
    row_groups: tuple[int, int]


def fingerprints(folder: Path) -> list[Fingerprint]:
    """Take the fingerprint of every checkpoint of a zoo.

    Networks with a value that is not finite (a training that diverged) are left out: such a network
    is like nothing.

    Args:
        folder: A zoo's `weights` folder.

    Returns:
        By run, then epoch.

    Raises:
        ValueError: If a checkpoint stands there twice.
    """
    found: list[Fingerprint] = []
    seen: set[tuple[int, int]] = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, path in enumerate(weight_files(folder)):
            for (run, epoch), entries in groupby(
                read_entries(path), key=lambda e: (e.run, e.epoch)
            ):
                if (run, epoch) in seen:
                    raise ValueError(
                        "a checkpoint must stand in the weights once, got run "
                        f"{run}, epoch {epoch} again in {path.name}; build the zoo again"
                    )
                seen.add((run, epoch))
                fingerprint = _fingerprint(run, epoch, list(entries), number, pool)
                if fingerprint is not None:
                    found.append(fingerprint)
    return sorted(found, key=lambda each: (each.run, each.epoch))


def ordered_values(values: np.ndarray) -> np.ndarray:
    """Return the values of an entry sorted, -0 written as 0."""
    ordered = np.sort(values)
    ordered += 0.0
    return ordered


class _EntryPrint(NamedTuple):
    """One entry: digests as of `Fingerprint`, and its part of the sketch."""

    layout: bytes
    exact: bytes
    ordered: bytes
    ends: np.ndarray
    values: int
    row_group: int


class _Row(NamedTuple):
    """What one entry adds to a fingerprint."""

    layout: bytes
    exact: bytes
    ordered: bytes
    ends: np.ndarray
    size: int
    row_group: int


def _row(entry: Entry) -> _Row:
    ordered = ordered_values(entry.values)
    ends = ordered[[0, len(ordered) // 2, -1]] if len(ordered) else np.zeros(3, np.float32)
    layout = repr((entry.name, entry.shape)).encode()
    exact = _digest([np.ascontiguousarray(entry.values).data])
    return _Row(layout, exact, _digest([ordered.data]), ends, len(ordered), entry.row_group)


def _fingerprint(
    run: int, epoch: int, entries: Sequence[Entry], file: int, pool: Executor
) -> Fingerprint | None:
    """Return None where a value is not finite."""
    large = sum(len(entry.values) for entry in entries) > _LARGE
    rows = sorted(
        pool.map(_row, entries) if large else map(_row, entries), key=attrgetter("layout")
    )
    sketch = np.concatenate([row.ends for row in rows])
    # NaN sorts last, infinities to the ends.
    if not np.isfinite(sketch).all():
        return None
    layout, exact, ordered = (
        _digest(getattr(row, name) for row in rows) for name in ("layout", "exact", "ordered")
    )
    groups = [row.row_group for row in rows]
    places = (min(groups), max(groups))
    size = sum(row.size for row in rows)
    return Fingerprint(run, epoch, layout, exact, ordered, sketch, size, file, places)


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()
