"""Write checkpoints of any zoo as Parquet shards (schema `WEIGHTS`), in bounded memory.

A shard holds whole runs, or consecutive epochs of a run larger than a shard. Within it, rows go by
epoch, then run; a row group ends with an epoch where it is large enough, and holds whole
checkpoints unless one alone is larger than `LARGEST_GROUP`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.readers.reader import Found
from sane_core.zoo.weight_entries import Place, is_weight
from schemas.tables import WEIGHTS

GROUP = 32 * 2**20
"""Bytes after which a row group ends."""
LARGEST_GROUP = 64 * 2**20
"""Bytes after which it ends within a checkpoint."""
SMALLEST_GROUP = 4 * 2**20
"""Bytes below which it goes on in the next epoch: tiny row groups are slow to read."""
PAGE = 256 * 2**10
"""Bytes of a Parquet page. At pyarrow's 1 MiB the system hands out fresh memory for every page, and
writing takes almost twice as long.
"""
_LARGEST_INTEGER = 2**24
"""Beyond it, float32 does not hold every integer."""
_LARGEST_ENTRY = 2**31 - 1
"""Values of one list in Parquet."""


def plan_shards(found: Sequence[Found], shard_bytes: int) -> Iterator[list[Found]]:
    """Cut checkpoints into shards.

    Args:
        found: Sorted by run, then epoch.
        shard_bytes: Bytes of files in a shard, except where one file is larger.

    Yields:
        The checkpoints of a shard, sorted by epoch, then run.
    """
    shard: list[Found] = []
    filled = 0
    for _, group in groupby(found, key=lambda checkpoint: checkpoint.run):
        run = list(group)
        size = sum(checkpoint.bytes for checkpoint in run)
        pieces = [[checkpoint] for checkpoint in run] if size > shard_bytes else [run]
        for piece in pieces:
            size = sum(checkpoint.bytes for checkpoint in piece)
            if shard and filled + size > shard_bytes:
                yield sorted(shard, key=lambda checkpoint: checkpoint.epoch)
                shard, filled = [], 0
            shard += piece
            filled += size
    if shard:
        yield sorted(shard, key=lambda checkpoint: checkpoint.epoch)


def float32_entries(contents: Contents) -> dict[str, np.ndarray]:
    """Return entry -> float32 array of its own shape.

    float64 is rounded; integers and booleans keep their values.

    Raises:
        Refused: If an integer would change, or an entry has too many values for a Parquet list.
    """
    entries = {}
    for name, values in contents.tensors.items():
        if values.size > _LARGEST_ENTRY:
            raise Refused(
                f"an entry must have at most {_LARGEST_ENTRY} values, got {values.size} in {name}",
                "leave this network out",
            )
        if values.dtype.kind in "iu" and values.size:
            largest = max(int(values.max()), -int(values.min()))
            if largest > _LARGEST_INTEGER:
                raise Refused(
                    f"integers must be at most 2**24 to be kept exactly, got {largest} in {name}",
                    "leave this entry out of the state dict, or store it as a float",
                )
        entries[name] = values.astype(np.float32, copy=False)
    return entries


class RowGroup:
    """Rows that wait to be written, their values in one buffer that every row group uses again.

    Fresh memory for each would take longer than compressing it.
    """

    def __init__(self) -> None:
        """Take the buffer; memory is used as far as it is filled."""
        self._rows: list[tuple[int, int, str, str, tuple[int, ...]]] = []
        self._buffer = np.empty(LARGEST_GROUP // 4, np.float32)
        self._filled = 0

    @property
    def rows(self) -> int:
        """How many entries wait."""
        return len(self._rows)

    @property
    def bytes(self) -> int:
        """How many bytes of values wait."""
        return 4 * self._filled

    def holds(self, values: int) -> bool:
        """Whether there is room for so many values; an empty group has room for any number."""
        if not self._rows and values > len(self._buffer):
            self._buffer = np.empty(values, np.float32)
        return self._filled + values <= len(self._buffer)

    def add(self, run: int, epoch: int, name: str, dtype: str, values: np.ndarray) -> None:
        """Copy an entry of a checkpoint."""
        end = self._filled + values.size
        self._buffer[self._filled : end] = values.reshape(-1)
        self._rows.append((run, epoch, name, dtype, values.shape))
        self._filled = end

    def table(self) -> pa.Table:
        """Return the rows; valid until `clear`."""
        runs, epochs, names, dtypes, shapes = zip(*self._rows, strict=True)
        return pa.table(
            [
                pa.array(runs, pa.int32()),
                pa.array(epochs, pa.int32()),
                pa.array(names, pa.string()),
                pa.array(dtypes, pa.string()),
                pa.ListArray.from_arrays(
                    _offsets([len(shape) for shape in shapes]),
                    pa.array([size for shape in shapes for size in shape], pa.int32()),
                ),
                pa.ListArray.from_arrays(
                    _offsets([prod(shape) for shape in shapes]),
                    pa.array(self._buffer[: self._filled]),
                ),
            ],
            schema=WEIGHTS,
        )

    def clear(self) -> None:
        """Forget the rows."""
        self._rows.clear()
        self._filled = 0


class ShardWriter:
    """Writes one shard; the file appears with its first row group."""

    def __init__(self, path: Path, group: RowGroup) -> None:
        """Say where to.

        Args:
            path: File to write.
            group: Empty; may serve one writer after another.
        """
        self.path = path
        self._writer: Any = None
        self._group = group
        self._epoch = -1
        self._row_groups = 0

    def add(
        self, run: int, epoch: int, entries: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
    ) -> Place:
        """Add a checkpoint, after those of smaller epochs.

        Returns:
            Where it will stand.
        """
        if epoch != self._epoch and self._group.bytes >= SMALLEST_GROUP:
            self._flush()
        self._epoch = epoch
        stands = []
        for name, values in entries.items():
            if not self._group.holds(values.size):
                self._flush()
                self._group.holds(values.size)
            self._group.add(run, epoch, name, dtypes[name], values)
            if is_weight(name, dtypes[name]):
                stands.append(self._row_groups)
        here = stands or [self._row_groups]
        place = Place(self.path.name, here[0], here[-1])
        if self._group.bytes >= GROUP:
            self._flush()
        return place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._group.clear()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if not self._group.rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self.path,
                WEIGHTS,
                compression="zstd",
                compression_level=1,
                use_dictionary=["run", "epoch", "name", "dtype", "shape.list.element"],
                column_encoding={"values.list.element": "BYTE_STREAM_SPLIT"},
                write_statistics=["run", "epoch", "name"],
                data_page_size=PAGE,
            )
        self._writer.write_table(self._group.table(), row_group_size=self._group.rows)
        self._row_groups += 1
        self._group.clear()


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
