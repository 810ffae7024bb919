"""Read a zoo's weights from disk: a Parquet row per (run, epoch, state-dict entry)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds


def read_weights(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], runs: Sequence[int], epochs: Sequence[int]
) -> dict[str, np.ndarray]:
    """Read checkpoints of equal architecture.

    Args:
        folder: A zoo's `weights` folder.
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


def read_checkpoint(
    folder: Path, run: int, epoch: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read one checkpoint, whatever its architecture, buffers included.

    Args:
        folder: A zoo's `weights` folder.
        run: Run number.
        epoch: Epoch.

    Returns:
        (entry -> float32 array of its shape, entry -> dtype that it had).

    Raises:
        ValueError: If the checkpoint is not there.
    """
    wanted = (ds.field("run") == run) & (ds.field("epoch") == epoch)
    columns = ["name", "dtype", "shape", "values"]
    rows = ds.dataset(folder).to_table(columns=columns, filter=wanted)
    if not len(rows):
        raise ValueError(f"run {run} must have weights of epoch {epoch}, got none in {folder}")
    names, dtypes = rows["name"].to_pylist(), rows["dtype"].to_pylist()
    values = [
        row.values.to_numpy(zero_copy_only=False).reshape(shape)
        for row, shape in zip(rows["values"], rows["shape"].to_pylist(), strict=True)
    ]
    return dict(zip(names, values, strict=True)), dict(zip(names, dtypes, strict=True))
