"""What tells two checkpoints apart without keeping their weights: a few hundred bytes for each.

A fingerprint needs no knowledge of the architecture. Reordering units moves values within an entry
and never between entries, so the sorted values of every entry stay what they are.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sane_core.zoo.weight_entries import Entry, read_entries, weight_files

_BYTES = 16


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
    for number, path in enumerate(weight_files(folder)):
        for (run, epoch), entries in groupby(read_entries(path), key=lambda e: (e.run, e.epoch)):
            if (run, epoch) in seen:
                raise ValueError(
                    f"a checkpoint must stand in the weights once, got run {run}, epoch {epoch} "
                    f"again in {path.name}; build the zoo again"
                )
            seen.add((run, epoch))
            fingerprint = _fingerprint(entries, number)
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


def _fingerprint(entries: Iterator[Entry], file: int) -> Fingerprint | None:
    """Return None where a value is not finite."""
    run = epoch = 0
    prints = []
    for entry in entries:
        run, epoch = entry.run, entry.epoch
        prints.append(_entry_print(entry))
    # NaN sorts last, infinities to the ends.
    if not all(np.isfinite(each.ends).all() for each in prints):
        return None
    prints.sort(key=lambda each: each.layout)
    groups = [each.row_group for each in prints]
    return Fingerprint(
        run,
        epoch,
        layout=_digest(each.layout for each in prints),
        exact=_digest(each.exact for each in prints),
        ordered=_digest(each.ordered for each in prints),
        sketch=np.concatenate([each.ends for each in prints]),
        values=sum(each.values for each in prints),
        file=file,
        row_groups=(min(groups), max(groups)),
    )


def _entry_print(entry: Entry) -> _EntryPrint:
    ordered = ordered_values(entry.values)
    ends = ordered[[0, len(ordered) // 2, -1]] if len(ordered) else np.zeros(3, np.float32)
    layout = repr((entry.name, entry.shape)).encode()
    digests = _digest([entry.values.data]), _digest([ordered.data])
    return _EntryPrint(layout, *digests, ends, len(ordered), entry.row_group)


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()
