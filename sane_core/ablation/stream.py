"""Windows of stored checkpoints one after another, without ever holding a whole one.

Memory is a batch of Parquet rows and a window with its halo, however long the networks are.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sane_core.embedding.halo import Chunk

_COLUMNS = ("run", "epoch", "n", "l", "k", "length", "values")
_BYTES = 8 * 2**20
"""Of values in a batch of rows."""


@dataclass(frozen=True)
class Piece:
    """One window of one checkpoint.

    Attributes:
        checkpoint: (run, epoch).
        chunk: Which tokens these are, and which of them count; the others are halo.
        tokens: float32 [high - low, d_t].
        positions: int64 [high - low, 3].
        lengths: int64 [high - low].
    """

    checkpoint: tuple[int, int]
    chunk: Chunk
    tokens: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class _Rows:
    """Consecutive tokens of one checkpoint."""

    checkpoint: tuple[int, int]
    tokens: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, at: slice) -> "_Rows":
        return _Rows(self.checkpoint, self.tokens[at], self.positions[at], self.lengths[at])

    def __add__(self, more: "_Rows") -> "_Rows":
        return _Rows(
            self.checkpoint,
            np.concatenate([self.tokens, more.tokens]),
            np.concatenate([self.positions, more.positions]),
            np.concatenate([self.lengths, more.lengths]),
        )


def stream(
    folder: Path, split: str, checkpoints: Collection[tuple[int, int]], chunks: Sequence[Chunk]
) -> Iterator[Piece]:
    """Read windows of checkpoints.

    Args:
        folder: The `tokens/` folder, with a `split=<name>` folder per split.
        split: "train", "validation" or "test".
        checkpoints: The (run, epoch) to read.
        chunks: Windows of each, by ascending start.

    Yields:
        Every chunk of every checkpoint.
    """
    held, waiting = None, list(chunks)
    for rows in _rows(folder, split, checkpoints):
        if rows.positions[0, 0] == 0:
            held, waiting = rows, list(chunks)
        elif held is not None:
            held = held + rows
        while held is not None and waiting:
            first = int(held.positions[0, 0])
            if waiting[0].high > first + len(held):
                held = held[waiting[0].low - first :]
                break
            chunk = waiting.pop(0)
            part = held[chunk.low - first : chunk.high - first]
            yield Piece(part.checkpoint, chunk, part.tokens, part.positions, part.lengths)


def _rows(folder: Path, split: str, checkpoints: Collection[tuple[int, int]]) -> Iterator[_Rows]:
    """Read the tokens of these checkpoints, some of one checkpoint at a time."""
    epochs = {epoch for _, epoch in checkpoints}
    for path in sorted((folder / f"split={split}").glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            d_t = file.schema_arrow.field("values").type.list_size
            groups = [g for g in range(file.num_row_groups) if _may_hold(file, g, epochs)]
            for batch in file.iter_batches(max(1, _BYTES // (4 * d_t)), groups, list(_COLUMNS)):
                for rows in _by_checkpoint(batch, d_t):
                    if rows.checkpoint in checkpoints:
                        yield rows


def _may_hold(file: Any, group: int, epochs: set[int]) -> bool:
    names = file.schema_arrow.names
    known = file.metadata.row_group(group).column(names.index("epoch")).statistics
    if known is None or not known.has_min_max:
        return True
    return any(known.min <= epoch <= known.max for epoch in epochs)


def _by_checkpoint(batch: Any, d_t: int) -> Iterator[_Rows]:
    """Cut a batch of rows where another checkpoint begins."""
    column = {name: batch.column(name).to_numpy().astype(np.int64) for name in _COLUMNS[:-1]}
    values = batch.column("values").flatten().to_numpy().reshape(-1, d_t)
    positions = np.stack([column[name] for name in "nlk"], axis=1)
    bounds = np.unique([0, *np.flatnonzero(column["n"] == 0), len(values)])
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        yield _Rows(
            (int(column["run"][start]), int(column["epoch"][start])),
            values[start:stop].astype(np.float32),
            positions[start:stop],
            column["length"][start:stop],
        )
