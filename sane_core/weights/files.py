"""Tokens on disk: Parquet rows in, arrays out (tables: `schemas/tables.py`).

`read_tokens` gives back what `write_tokens` was given, for the epochs and split asked for. A split
is a folder of parts, each sorted by (epoch, run). A row group holds whole checkpoints of one epoch,
so that one epoch of a zoo is read without the others. Two exceptions: a checkpoint over
`LARGEST_GROUP` is split, and epochs under `SMALLEST_GROUP` share a row group, because tiny ones are
slow to read. Neither writing nor reading has more than a row group in memory beside the tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.weights.layers import Layer, token_count
from sane_core.weights.standardize import Statistics
from sane_core.weights.tokens import lengths_of, positions_of, tokenize
from sane_core.zoo.weight_shards import LARGEST_GROUP, PAGE, SMALLEST_GROUP
from schemas.tables import LAYERS, tokens_schema

Precision = Literal["float32", "float16"]
"""In which values are stored; they are float32 in memory."""

_BATCH = 2 * 2**20
"""Bytes of values decoded at a time, in memory that is used again."""


@dataclass(frozen=True)
class TokenSet:
    """Checkpoints of one architecture as tokens.

    Attributes:
        values: float32 [checkpoints, N, d_t], standardized, aligned, zero where padded.
        positions: int64 [N, 3], `[n, l, k]`.
        lengths: int64 [N], real weights per token.
        runs: int64 [checkpoints].
        epochs: int64 [checkpoints].
    """

    values: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    runs: np.ndarray
    epochs: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


def write_tokens(path: Path, tokens: TokenSet, dtype: Precision = "float32") -> None:
    """Write one part of a split: checkpoints sorted by (epoch, run).

    Args:
        path: File to write.
        tokens: Checkpoints in any order.
        dtype: Precision of the stored values.

    Raises:
        ValueError: If a value is too large for float16.
    """
    with _Writer(path, tokens.positions, tokens.lengths, tokens.values.shape[2], dtype) as writer:
        for chosen in _groups(tokens.runs, tokens.epochs, tokens.values[:1].nbytes):
            writer.add(_some(tokens.values, chosen), tokens.runs[chosen], tokens.epochs[chosen])


def write_weights(
    path: Path,
    weights: Mapping[str, np.ndarray],
    layers: tuple[Layer, ...],
    d_t: int,
    statistics: Statistics,
    runs: np.ndarray,
    epochs: np.ndarray,
    dtype: Precision = "float32",
) -> None:
    """Standardize, tokenize and write one part of a split, a row group at a time.

    The file is that of `write_tokens` for the standardized weights' tokens, which are never in
    memory as a whole.

    Args:
        path: File to write.
        weights: Entry -> float32 [checkpoints, ...], aligned.
        layers: Layers of the architecture.
        d_t: Token size.
        statistics: Of the train split.
        runs: int64 [checkpoints], in any order.
        epochs: int64 [checkpoints].
        dtype: Precision of the stored values.

    Raises:
        ValueError: If a value is too large for float16, or the statistics do not know a layer.
    """
    length = token_count(layers, d_t)
    positions, lengths = positions_of(layers, d_t), lengths_of(layers, d_t)
    buffer = np.empty((0, length, d_t), np.float32)
    with _Writer(path, positions, lengths, d_t, dtype) as writer:
        for chosen in _groups(runs, epochs, 4 * length * d_t):
            some = {
                name: _some(weights[name], chosen) for layer in layers for name in layer.entries
            }
            if len(buffer) < len(chosen):
                buffer = np.empty((len(chosen), length, d_t), np.float32)
            values = tokenize(some, layers, d_t, statistics, out=buffer[: len(chosen)])
            writer.add(values, runs[chosen], epochs[chosen])


def read_tokens(folder: Path, split: str, epochs: Sequence[int] | None = None) -> TokenSet:
    """Read the checkpoints of one split: part by part in the order of their names.

    Args:
        folder: The `tokens/` folder, with a `split=<name>` folder per split.
        split: "train", "validation" or "test".
        epochs: Epochs to read; all if not given.

    Raises:
        ValueError: If there is no such checkpoint, or checkpoints differ in length.
    """
    chosen = list(_choose(sorted((folder / f"split={split}").glob("*.parquet")), epochs))
    rows = {
        name: np.concatenate([np.zeros(0, np.int32), *(part.rows[name] for part in chosen)])
        for name in _COLUMNS
    }
    n = rows["n"]
    length = int(n.max()) + 1 if len(n) else 0
    if (
        not length
        or len(n) % length
        or not np.array_equal(n, np.tile(np.arange(length), len(n) // length))
    ):
        raise ValueError(
            f"split {split} must hold whole checkpoints of equal length, got {len(n)} tokens"
        )
    count = len(n) // length
    return TokenSet(
        values=_read_values(chosen).reshape(count, length, -1),
        positions=np.stack([rows[name][:length] for name in "nlk"], axis=1).astype(np.int64),
        lengths=rows["length"][:length].astype(np.int64),
        runs=rows["run"][::length].astype(np.int64),
        epochs=rows["epoch"][::length].astype(np.int64),
    )


def write_layers(
    path: Path, architecture: str, layers: tuple[Layer, ...], d_t: int, statistics: Statistics
) -> None:
    """Write the layer table: what each layer pools, and the train split's statistics."""
    numbers = [*_STATISTICS, "variance"]
    rows = [
        {
            "architecture": architecture,
            "l": layer.l,
            "name": layer.name,
            "weight": layer.weight,
            "bias": layer.bias,
            "shape": list(layer.shape),
            "c_out": layer.c_out,
            "c_r": layer.c_r,
            "has_bias": layer.has_bias,
            "tokens": layer.tokens(d_t),
        }
        | {name: float(getattr(statistics, name)[l]) for name in numbers}
        for l, layer in enumerate(layers)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=LAYERS), path)


def read_layers(path: Path) -> tuple[Layer, ...]:
    """Read from the layer table what the tokens beside it were cut from."""
    columns = ["l", "name", "weight", "shape", "bias"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    return tuple(Layer(**row | {"shape": tuple(row["shape"])}) for row in rows)


def read_statistics(path: Path) -> Statistics:
    """Read the statistics back from the layer table."""
    table = pq.read_table(path, columns=["name", *_STATISTICS])
    return Statistics(
        tuple(table["name"].to_pylist()), *(table[name].to_numpy() for name in _STATISTICS)
    )


_COLUMNS = ("run", "epoch", "n", "l", "k", "length")
_STATISTICS = ("mean", "std", "minimum", "maximum", "offset", "scale")


class _Writer:
    """Writes one part, `add` after `add` a row group."""

    def __init__(
        self, path: Path, positions: np.ndarray, lengths: np.ndarray, d_t: int, dtype: Precision
    ) -> None:
        self._tokens = [column.astype(np.int32) for column in (*positions.T, lengths)]
        self._schema = tokens_schema(d_t, dtype)
        self._dtype = np.dtype(dtype)
        self._writer: Any = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["run", "epoch", "l", "length"],
            column_encoding={
                "n": "DELTA_BINARY_PACKED",
                "k": "DELTA_BINARY_PACKED",
                "values.list.element": "BYTE_STREAM_SPLIT",
            },
            write_statistics=list(_COLUMNS),
            data_page_size=PAGE,
        )

    def add(self, values: np.ndarray, runs: np.ndarray, epochs: np.ndarray) -> None:
        """Write checkpoints [checkpoints, N, d_t] of these runs and epochs."""
        length = values.shape[1]
        pieces = -(-values.nbytes // LARGEST_GROUP) if len(values) == 1 else 1
        step = max(1, -(-length // max(1, pieces)))
        for start in range(0, length, step):
            at = slice(start, start + step)
            tokens = len(self._tokens[0][at])
            rows = [np.repeat(column.astype(np.int32), tokens) for column in (runs, epochs)]
            rows += [np.tile(column[at], len(values)) for column in self._tokens]
            self._writer.write_table(self._table(rows, values[:, at]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def _table(self, rows: list[np.ndarray], values: np.ndarray) -> pa.Table:
        with np.errstate(over="ignore"):
            stored = values.astype(self._dtype, copy=False)
        if self._dtype == np.float16 and not np.isfinite(stored).all():
            raise ValueError(
                "standardized weights must be at most 65504 to be stored as float16, "
                f"got {np.abs(values).max()}; store them as float32"
            )
        lists = pa.FixedSizeListArray.from_arrays(
            pa.array(stored.reshape(-1)), type=self._schema.field("values").type
        )
        return pa.Table.from_arrays([*map(pa.array, rows), lists], schema=self._schema)


def _groups(runs: np.ndarray, epochs: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Deal checkpoints of `size` bytes out to row groups, sorted by (epoch, run)."""
    largest = max(1, LARGEST_GROUP // max(1, size))
    smallest = max(1, -(-SMALLEST_GROUP // max(1, size)))
    order = np.lexsort((runs, epochs))
    ends = np.flatnonzero(np.diff(epochs[order])) + 1
    waiting = order[:0]
    for epoch in np.split(order, ends):
        if len(epoch) >= smallest:
            if len(waiting):
                yield waiting
            yield from np.array_split(epoch, -(-len(epoch) // largest))
            waiting = order[:0]
            continue
        waiting = np.concatenate([waiting, epoch])
        if len(waiting) >= smallest:
            yield waiting
            waiting = order[:0]
    if len(waiting):
        yield waiting


def _some(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the chosen checkpoints, as a view where they follow one another."""
    first, last = int(chosen[0]), int(chosen[-1])
    follow = last - first == len(chosen) - 1 and bool((np.diff(chosen) == 1).all())
    return values[first : last + 1] if follow else values[chosen]


@dataclass(frozen=True)
class _Chosen:
    """The wanted rows of one row group; `keep` is None where it holds no others."""

    path: Path
    group: int
    keep: np.ndarray | None
    rows: dict[str, np.ndarray]


def _choose(paths: Sequence[Path], epochs: Sequence[int] | None) -> Iterator[_Chosen]:
    """Find the row groups with these epochs, without reading the others."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                if epochs is not None and not _may_hold(file.metadata.row_group(group), epochs):
                    continue
                table = file.read_row_group(group, columns=list(_COLUMNS))
                rows = {name: table[name].to_numpy() for name in _COLUMNS}
                keep = None if epochs is None else np.isin(rows["epoch"], list(epochs))
                if keep is None or keep.all():
                    yield _Chosen(path, group, None, rows)
                elif keep.any():
                    rows = {name: column[keep] for name, column in rows.items()}
                    yield _Chosen(path, group, keep, rows)


def _may_hold(group: Any, epochs: Sequence[int]) -> bool:
    known = group.column(_COLUMNS.index("epoch")).statistics
    if known is None or not known.has_min_max:
        return True
    return any(known.min <= epoch <= known.max for epoch in epochs)


def _read_values(chosen: Sequence[_Chosen]) -> np.ndarray:
    """Read the values of row groups, float32 [tokens, d_t], a little at a time beside them."""
    tokens = sum(len(part.rows["n"]) for part in chosen)
    values, filled = np.empty((tokens, 0), np.float32), 0
    for path, parts in groupby(chosen, key=lambda part: part.path):
        with pq.ParquetFile(path) as file:
            d_t = file.schema_arrow.field("values").type.list_size
            if not filled:
                values = np.empty((tokens, d_t), np.float32)
            for part in parts:
                for read in _batches(file, part, d_t):
                    values[filled : filled + len(read)] = read
                    filled += len(read)
    return values


def _batches(file: Any, part: _Chosen, d_t: int) -> Iterator[np.ndarray]:
    size, start = max(1, _BATCH // (4 * d_t)), 0
    for batch in file.iter_batches(size, row_groups=[part.group], columns=["values"]):
        read = batch.column(0).flatten().to_numpy().reshape(-1, d_t)
        yield read if part.keep is None else read[part.keep[start : start + len(read)]]
        start += len(read)
