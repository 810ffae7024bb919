"""A zoo's networks as files of their own, which every program reads: safetensors state dicts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from sane_core.zoo.files import read_checkpoint


def unpack_zoo(
    zoo: Path,
    out: Path,
    runs: int | None = None,
    epochs: Sequence[int] = (),
    split: str | None = None,
) -> list[Path]:
    """Write a file per checkpoint, `run-0007-epoch-025.safetensors`, as float32.

    Args:
        zoo: Folder with `weights/*.parquet` and `checkpoints.parquet`.
        out: Folder to write to; must not exist.
        runs: How many runs, the first ones; all if not given.
        epochs: Which epochs; the last of each run if not given.
        split: Only runs of this split: train, validation or test.

    Returns:
        The files, by run and epoch.

    Raises:
        ValueError: If there is no such checkpoint.
    """
    table = pl.read_parquet(zoo / "checkpoints.parquet").sort("run", "epoch")
    if split is not None:
        table = table.filter(pl.col("split") == split)
    kept = table["run"].unique().sort().head(len(table) if runs is None else runs)
    table = table.filter(pl.col("run").is_in(kept.to_list()))
    last = pl.col("epoch") == pl.col("epoch").max().over("run")
    chosen = table.filter(pl.col("epoch").is_in(list(epochs)) if epochs else last)
    if not len(chosen):
        raise ValueError(
            f"there must be checkpoints of epochs {', '.join(map(str, epochs)) or '(any)'} in "
            f"{f'split {split}' if split else 'the zoo'}, it has "
            f"{', '.join(map(str, sorted(table['epoch'].unique()))) or 'none'}"
        )
    out.mkdir(parents=True)
    paths = []
    for run, epoch in chosen.select("run", "epoch").iter_rows():
        entries, dtypes = read_checkpoint(zoo / "weights", run, epoch)
        path = out / f"run-{run:04d}-epoch-{epoch:03d}.safetensors"
        arrays = {name: _whole(values, dtypes[name]) for name, values in entries.items()}
        save_file(arrays, path, metadata={"format": "pt"})
        paths.append(path)
    return paths


def _whole(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return float32 for what is of floating point; counters are whole numbers."""
    return np.asarray(values, np.float32 if "float" in dtype else np.dtype(dtype), order="C")
