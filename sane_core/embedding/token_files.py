"""Latents of single tokens on disk: a Parquet row per token.

`read_latents` gives back what `LatentsWriter` was given, checkpoint by checkpoint. A row group
holds whole checkpoints, as many as were added together; one of more than `LARGEST_GROUP` bytes is
cut into several. Neither writing nor reading has more than a row group in memory beside a
checkpoint.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.zoo.weight_shards import LARGEST_GROUP, PAGE
from schemas.tables import latents_schema

_PLACE = ("run", "epoch", "n", "l", "k")


@dataclass(frozen=True)
class Latents:
    """Latents of checkpoints of one architecture.

    Attributes:
        values: float32 [checkpoints, N, d_z].
        positions: int64 [N, 3], `[n, l, k]`.
        runs: int64 [checkpoints].
        epochs: int64 [checkpoints].
    """

    values: np.ndarray
    positions: np.ndarray
    runs: np.ndarray
    epochs: np.ndarray


class LatentsWriter:
    """Writes `latents.parquet`, `add` after `add`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def add(self, latents: Latents) -> None:
        """Append checkpoints.

        Raises:
            ValueError: If there is not one latent per token.
        """
        _, tokens, d_z = latents.values.shape
        if tokens != len(latents.positions):
            raise ValueError(
                f"latents of tokens must be one per token, got {tokens} for "
                f"{len(latents.positions)} tokens: an autoencoder with one latent per model "
                "(bottleneck: model) has none; set embed.tokens: false"
            )
        schema = latents_schema(d_z)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                schema,
                compression="zstd",
                use_dictionary=["run", "epoch", "l"],
                column_encoding={
                    "n": "DELTA_BINARY_PACKED",
                    "k": "DELTA_BINARY_PACKED",
                    "latents.list.element": "BYTE_STREAM_SPLIT",
                },
                write_statistics=list(_PLACE),
                data_page_size=PAGE,
            )
        largest = max(1, LARGEST_GROUP // (4 * d_z))
        rows = largest // tokens * tokens or largest
        self._writer.write_table(_table(latents, schema), row_group_size=rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def read_latents(path: Path, epochs: Collection[int] | None = None) -> Iterator[Latents]:
    """Read latents of tokens, one checkpoint at a time.

    Args:
        path: What `LatentsWriter` wrote.
        epochs: Epochs to read; all if not given.

    Yields:
        One checkpoint each, in the order in which they were written.
    """
    held: dict[str, np.ndarray] = {}
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = _columns(file.read_row_group(group))
            held = {k: np.concatenate([held[k], rows[k]]) for k in rows} if held else rows
            starts = [*np.flatnonzero(held["n"] == 0).tolist(), len(held["n"])]
            # Whether the last one is whole is known by the next row group only.
            for start, stop in zip(starts[:-2], starts[1:-1], strict=True):
                yield from _checkpoint(held, start, stop, epochs)
            held = {name: column[starts[-2] :] for name, column in held.items()}
    if held:
        yield from _checkpoint(held, 0, len(held["n"]), epochs)


def _table(latents: Latents, schema: pa.Schema) -> pa.Table:
    count, tokens, _ = latents.values.shape
    columns = [np.repeat(column, tokens) for column in (latents.runs, latents.epochs)]
    columns += [np.tile(column, count) for column in latents.positions.T]
    values = np.ascontiguousarray(latents.values, np.float32).reshape(-1)
    arrays = [pa.array(column.astype(np.int32)) for column in columns]
    arrays.append(
        pa.FixedSizeListArray.from_arrays(pa.array(values), type=schema.field("latents").type)
    )
    return pa.Table.from_arrays(arrays, schema=schema)


def _columns(table: pa.Table) -> dict[str, np.ndarray]:
    columns = {name: table[name].to_numpy().astype(np.int64) for name in _PLACE}
    values = table["latents"].combine_chunks()
    return columns | {"latents": values.flatten().to_numpy().reshape(len(values), -1)}


def _checkpoint(
    rows: dict[str, np.ndarray], start: int, stop: int, epochs: Collection[int] | None
) -> Iterator[Latents]:
    at = slice(start, stop)
    if epochs is None or int(rows["epoch"][start]) in epochs:
        yield Latents(
            values=rows["latents"][None, at],
            positions=np.stack([rows[name][at] for name in "nlk"], axis=1),
            runs=rows["run"][start : start + 1],
            epochs=rows["epoch"][start : start + 1],
        )
