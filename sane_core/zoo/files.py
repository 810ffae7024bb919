"""A zoo's weights on disk: a Parquet row per (run, epoch, state-dict entry).

`read_weights` gives back exactly what `write_weights` was given, in the order asked for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from schemas.tables import WEIGHTS


def write_weights(
    path: Path, runs: Sequence[int], epochs: Sequence[int], weights: Mapping[str, np.ndarray]
) -> None:
    """Write the checkpoints of a shard, a row group per epoch.

    Args:
        path: Parquet file to write.
        runs: Run numbers.
        epochs: Epochs kept.
        weights: entry -> float32 [runs, epochs, ...].
    """
    names = list(weights)
    with pq.ParquetWriter(path, WEIGHTS, compression="zstd") as writer:
        for e, epoch in enumerate(epochs):
            rows = [
                (run, name, weights[name][r, e]) for r, run in enumerate(runs) for name in names
            ]
            flat = np.concatenate([values.ravel() for _, _, values in rows])
            offsets = np.cumsum([0] + [values.size for _, _, values in rows])
            writer.write_table(
                pa.table(
                    [
                        pa.array([run for run, _, _ in rows], pa.int32()),
                        pa.array([epoch] * len(rows), pa.int32()),
                        pa.array([name for _, name, _ in rows]),
                        pa.array([str(values.dtype) for _, _, values in rows]),
                        pa.array(
                            [list(values.shape) for _, _, values in rows], pa.list_(pa.int32())
                        ),
                        pa.ListArray.from_arrays(
                            pa.array(offsets, pa.int32()), pa.array(flat, pa.float32())
                        ),
                    ],
                    schema=WEIGHTS,
                )
            )


def read_weights(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], runs: Sequence[int], epochs: Sequence[int]
) -> dict[str, np.ndarray]:
    """Read checkpoints of equal architecture.

    Args:
        folder: Folder of Parquet files as written by `write_weights`.
        shapes: entry -> shape, of one network.
        runs: Run numbers, ascending.
        epochs: Epochs, ascending.

    Returns:
        entry -> float32 [runs, epochs, ...].

    Raises:
        ValueError: If a checkpoint or entry asked for is not there.
    """
    wanted = ds.field("run").isin(list(runs)) & ds.field("epoch").isin(list(epochs))
    table = ds.dataset(folder).to_table(columns=["run", "epoch", "name", "values"], filter=wanted)
    names = np.asarray(table["name"].to_numpy(zero_copy_only=False))
    order_keys = np.stack([table["run"].to_numpy(), table["epoch"].to_numpy()])
    result = {}
    for name, shape in shapes.items():
        rows = np.flatnonzero(names == name)
        expected = len(runs) * len(epochs)
        if len(rows) != expected:
            raise ValueError(f"entry {name} must stand in {expected} checkpoints, got {len(rows)}")
        rows = rows[np.lexsort((order_keys[1, rows], order_keys[0, rows]))]
        values = (
            table["values"].take(rows).combine_chunks().flatten().to_numpy(zero_copy_only=False)
        )
        result[name] = values.reshape(len(runs), len(epochs), *shape)
    return result
