"""A small copy of a zoo: some runs, some epochs, weights rounded to half precision.

It has the layout of any zoo, so everything reads it; what was dropped is not in its tables.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from sane_core.zoo.files import read_checkpoint
from sane_core.zoo.weight_shards import RowGroup, ShardWriter

LARGEST = float(np.finfo(np.float16).max)


def compact_zoo(zoo: Path, out: Path, runs: Sequence[int], epochs: Sequence[int]) -> int:
    """Write a copy that is as small as it can be of use.

    Args:
        zoo: Folder with `weights/*.parquet` and `checkpoints.parquet`.
        out: Folder to write to; must not exist.
        runs: Runs that are kept; splits stay as they are.
        epochs: Epochs that are kept.

    Returns:
        Bytes of the copy.

    Raises:
        ValueError: If a run or an epoch is not there, or a weight is too large for half precision.
    """
    table = pl.read_parquet(zoo / "checkpoints.parquet")
    for what, wanted in (("run", runs), ("epoch", epochs)):
        if missing := sorted({*wanted} - {*table[what].to_list()}):
            raise ValueError(f"every {what} that is kept must be in the zoo, got {missing}")
    kept = pl.col("run").is_in(list(runs)) & pl.col("epoch").is_in(list(epochs))
    (out / "weights").mkdir(parents=True)
    table.filter(kept).sort("run", "epoch").write_parquet(
        out / "checkpoints.parquet", compression="zstd"
    )
    with ShardWriter(out / "weights" / "part-00000.parquet", RowGroup()) as writer:
        for epoch in sorted(epochs):
            for run in sorted(runs):
                rounded = _rounded(*read_checkpoint(zoo / "weights", run, epoch))
                writer.add(run, epoch, *rounded)
    return sum(path.stat().st_size for path in out.rglob("*.parquet"))


def _rounded(
    entries: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return entries and dtypes, floats rounded to half precision."""
    rounded, kinds = dict(entries), dict(dtypes)
    for name, values in entries.items():
        if "float" not in dtypes[name]:
            continue
        if values.size and float(np.abs(values).max()) > LARGEST:
            raise ValueError(f"weights must be <= {LARGEST:g} for half precision, in {name}")
        rounded[name] = values.astype(np.float16).astype(np.float32)
        kinds[name] = "float16"
    return rounded, kinds
