"""Several window sets as one: which windows there are, and in which shard each of them lies.

A set is the folder of one windows artifact. Its `windows.json` names the shards, and only these
very files are read: a shard that is missing, or another one in its place, is an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from sane_core.windows.batches import WindowBatch
from sane_core.windows.beton import damaged, verify_beton
from sane_core.windows.facts import FACTS, WindowFacts, read_facts
from sane_core.windows.layout import WindowSpec, read_rows
from sane_core.windows.memory import Buffers

_SHARED = ("d_t", "length", "views", "dtype")
"""What windows of one batch have in common."""


@dataclass(frozen=True)
class Shard:
    """One verified `.beton`.

    Attributes:
        path: The file.
        spec: What its samples look like.
        set: Number of its set.
        first: Global index of its first window.
    """

    path: Path
    spec: WindowSpec
    set: int
    first: int


@dataclass(frozen=True)
class OpenSets:
    """All windows of one split of some sets: set by set, shard by shard.

    Attributes:
        shards: The files.
        spec: What the samples look like; `samples` counts all, positions are as wide as the widest.
        runs: int64 [S], unique over the sets.
        epochs: int64 [S].
        sets: int64 [S].
        first_runs: int64 [sets]: what was added to the numbers of each set's runs.
        memory: Where batches are put.
    """

    shards: tuple[Shard, ...]
    spec: WindowSpec
    runs: np.ndarray
    epochs: np.ndarray
    sets: np.ndarray
    first_runs: np.ndarray
    memory: Buffers = field(default_factory=Buffers, compare=False)

    def __len__(self) -> int:
        return self.spec.samples

    def located(
        self, batches: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Find where the windows of each batch are, all at once, as a batch takes microseconds.

        Args:
            batches: Window indices, int64 [B] each.

        Yields:
            The indices, the shard of each window and its place there, int64 [B] each.
        """
        firsts = np.array([shard.first for shard in self.shards])
        indices = np.concatenate(batches)
        shards = np.searchsorted(firsts, indices, side="right") - 1
        places = indices - firsts[shards]
        start = 0
        for batch in batches:
            at = slice(start, start + len(batch))
            yield batch, shards[at], places[at]
            start += len(batch)

    def batch(
        self, indices: np.ndarray, tokens: np.ndarray, positions: np.ndarray, lengths: np.ndarray
    ) -> WindowBatch:
        """Return the batch of these windows.

        Args:
            indices: int64 [B].
            tokens: uint8 [B, bytes], as stored; it becomes the batch's.
            positions: int64 [B, W, 3], likewise.
            lengths: int64 [B, V, W], likewise.
        """
        shape = (len(indices), *self.spec.arrays["tokens"].shape)
        return WindowBatch(
            tokens=torch.from_numpy(tokens.view(self.spec.dtype).reshape(shape)),
            positions=torch.from_numpy(positions),
            lengths=torch.from_numpy(lengths),
            runs=torch.from_numpy(self.runs[indices]),
            epochs=torch.from_numpy(self.epochs[indices]),
            sets=torch.from_numpy(self.sets[indices]),
        )

    def empty(self, size: int) -> dict[str, np.ndarray]:
        """Return memory for the arrays of a batch of so many windows, by field."""
        fields = self.spec.arrays
        return {
            "tokens": self.memory.empty((size, fields["tokens"].size), np.uint8),
            "positions": np.empty((size, *fields["positions"].shape), np.int64),
            "lengths": np.empty((size, *fields["lengths"].shape), np.int64),
        }


def by_shard(shards: np.ndarray) -> Iterator[tuple[int, np.ndarray | slice]]:
    """Yield each shard with the places in a batch of its windows.

    Args:
        shards: int64 [B], the shard of each window.
    """
    used = set(shards.tolist())
    for shard in used:
        yield shard, np.flatnonzero(shards == shard) if len(used) > 1 else slice(None)


def open_sets(
    sets: Sequence[Path], split: str, *, d_t: int | None = None, length: int | None = None
) -> OpenSets:
    """Verify every shard of a split of some sets; for the arguments see `open_windows`."""
    if not sets:
        raise ValueError("there must be at least one window set, got none")
    facts = [read_facts(folder / FACTS) for folder in sets]
    _check_agreement(sets, facts)
    shards = list(_shards(sets, facts, split, d_t, length))
    rows = [read_rows(shard.path, shard.spec) for shard in shards]
    counts = [len(part) for part in rows]
    of_shard = np.repeat([shard.set for shard in shards], counts).astype(np.int64)
    runs = np.concatenate([part["run"] for part in rows]).astype(np.int64)
    used = [int(runs[of_shard == number].max()) + 1 for number in range(len(sets))]
    first_runs = np.array([0, *accumulate(used)][:-1], np.int64)
    wide = any(shard.spec.position_dtype == "int32" for shard in shards)
    return OpenSets(
        shards=tuple(shards),
        spec=replace(
            shards[0].spec, samples=sum(counts), position_dtype="int32" if wide else "int16"
        ),
        runs=runs + first_runs[of_shard],
        epochs=np.concatenate([part["epoch"] for part in rows]).astype(np.int64),
        sets=of_shard,
        first_runs=first_runs,
    )


def _shards(
    sets: Sequence[Path],
    facts: Sequence[WindowFacts],
    split: str,
    d_t: int | None,
    length: int | None,
) -> Iterator[Shard]:
    first = 0
    for number, (folder, known) in enumerate(zip(sets, facts, strict=True)):
        for shard in known.split(split).shards:
            path = folder / shard.file
            sidecar = verify_beton(path, d_t=d_t, length=length)
            if sidecar.sha256 != shard.sha256:
                raise damaged(path, f"is not the file that {FACTS} names (its SHA-256 differs)")
            for name in _SHARED:
                said, got = getattr(known, name), getattr(sidecar.spec, name)
                if said != got:
                    raise damaged(path, f"was compiled with {name} {got}, but {FACTS} says {said}")
            yield Shard(path, sidecar.spec, number, first)
            first += sidecar.spec.samples


def _check_agreement(sets: Sequence[Path], facts: Sequence[WindowFacts]) -> None:
    """Check that windows of all sets fit into one batch."""
    for folder, known in zip(sets, facts, strict=True):
        for name in _SHARED:
            wanted, got = getattr(facts[0], name), getattr(known, name)
            if wanted != got:
                raise ValueError(
                    f"window sets must agree in {name} to be trained on together, got {wanted} in "
                    f"{sets[0]} and {got} in {folder}"
                )
