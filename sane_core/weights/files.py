"""Tokens on disk: Parquet rows in, arrays out (DESIGN: Parquet).

`read_tokens` gives back what `write_tokens` was given, for the runs, epochs and split asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sane_core.weights.layers import Layer
from sane_core.weights.standardize import Statistics
from schemas.tables import LAYERS, tokens_schema


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


def write_tokens(path: Path, tokens: TokenSet) -> None:
    """Write checkpoints, sorted by (epoch, run), a row group per epoch (split at 64 MB)."""
    d_t = tokens.values.shape[2]
    per_group = max(1, 2**26 // (tokens.values[0].nbytes or 1))
    order = np.lexsort((tokens.runs, tokens.epochs))
    with pq.ParquetWriter(
        path, tokens_schema(d_t), compression="zstd", compression_level=1
    ) as writer:
        for epoch in np.unique(tokens.epochs):
            chosen = order[tokens.epochs[order] == epoch]
            for start in range(0, len(chosen), per_group):
                writer.write_table(_rows(tokens, chosen[start : start + per_group]))


def _rows(tokens: TokenSet, chosen: np.ndarray) -> pa.Table:
    length, d_t = tokens.values.shape[1:]
    columns = [np.repeat(tokens.runs[chosen], length), np.repeat(tokens.epochs[chosen], length)]
    columns += [np.tile(column, len(chosen)) for column in (*tokens.positions.T, tokens.lengths)]
    values = pa.array(tokens.values[chosen].reshape(-1), pa.float32())
    arrays = [pa.array(column, pa.int32()) for column in columns]
    return pa.table(
        [*arrays, pa.FixedSizeListArray.from_arrays(values, d_t)], schema=tokens_schema(d_t)
    )


def read_tokens(folder: Path, split: str, epochs: Sequence[int] | None = None) -> TokenSet:
    """Read the checkpoints of one split.

    Args:
        folder: The `tokens/` folder, with a `split=<name>` folder per split.
        split: "train", "validation" or "test".
        epochs: Epochs to read; all if not given.

    Raises:
        ValueError: If there is no such checkpoint, or checkpoints differ in length.
    """
    wanted = None if epochs is None else ds.field("epoch").isin(list(epochs))
    table = ds.dataset(folder / f"split={split}").to_table(filter=wanted)
    n = table["n"].to_numpy()
    length = int(n.max()) + 1 if len(n) else 0
    if (
        not length
        or len(n) % length
        or not np.array_equal(n, np.tile(np.arange(length), len(n) // length))
    ):
        raise ValueError(
            f"split {split} must hold whole checkpoints of equal length, got {len(n)} tokens"
        )
    flat = table["values"].combine_chunks().flatten().to_numpy()
    return TokenSet(
        values=flat.reshape(len(n) // length, length, -1),
        positions=np.stack([table[name].to_numpy()[:length] for name in "nlk"], axis=1).astype(
            np.int64
        ),
        lengths=table["length"].to_numpy()[:length].astype(np.int64),
        runs=table["run"].to_numpy()[::length].astype(np.int64),
        epochs=table["epoch"].to_numpy()[::length].astype(np.int64),
    )


def write_layers(
    path: Path, architecture: str, layers: tuple[Layer, ...], d_t: int, statistics: Statistics
) -> None:
    """Write the layer table with the train split's statistics."""
    rows = [
        {
            "architecture": architecture,
            "l": layer.l,
            "name": layer.name,
            "c_out": layer.c_out,
            "c_r": layer.c_r,
            "has_bias": layer.has_bias,
            "tokens": layer.tokens(d_t),
            "mean": float(statistics.mean[layer.l]),
            "std": float(statistics.std[layer.l]),
        }
        for layer in layers
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=LAYERS), path)


def read_statistics(path: Path) -> Statistics:
    """Read the statistics back from the layer table."""
    table = pq.read_table(path)
    return Statistics(table["mean"].to_numpy(), table["std"].to_numpy())
