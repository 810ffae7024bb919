"""Check that nothing of a test network is known from training, and fail where something is.

It looks at the files as they are, whatever the code that drew the splits meant to do.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from sane_core.zoo.duplicates import find_duplicates
from sane_core.zoo.formats.refused import printable

_KINDS = {"equal": "equal to", "permuted": "a reordering of", "near": "nearly equal to"}


def check_leakage(zoo: Path, duplicates: pa.Table | None = None) -> None:
    """Fail if a run, or a copy of it, lies in two splits.

    Args:
        zoo: Folder with `weights/*.parquet` and `checkpoints.parquet`.
        duplicates: What `find_duplicates` found in these very weights; searched for if not given.

    Raises:
        ValueError: If a run appears twice at an epoch, if epochs of one run lie in different
            splits, or if duplicates do. Names the first case and counts the others.
    """
    checkpoints = pl.read_parquet(
        zoo / "checkpoints.parquet", columns=["run", "epoch", "split"]
    ).sort("run", "epoch", maintain_order=True)
    _check_once(checkpoints)
    _check_runs(checkpoints)
    _check_duplicates(checkpoints, find_duplicates(zoo) if duplicates is None else duplicates)


def _check_once(checkpoints: pl.DataFrame) -> None:
    twice = checkpoints.filter(pl.struct("run", "epoch").is_duplicated())
    twice = twice.unique(["run", "epoch"], maintain_order=True)
    if len(twice):
        run, epoch, _ = twice.row(0)
        raise ValueError(
            f"a run must appear once at an epoch, got run {run} twice at epoch {epoch}"
            f"{_others(len(twice))}; build the zoo again"
        )


def _check_runs(checkpoints: pl.DataFrame) -> None:
    splits = checkpoints.group_by("run", maintain_order=True).agg(
        pl.col("split").first(),
        pl.col("epoch").first(),
        other=pl.col("split").filter(pl.col("split").ne_missing(pl.col("split").first())).first(),
        at=pl.col("epoch").filter(pl.col("split").ne_missing(pl.col("split").first())).first(),
    )
    cut = splits.filter(pl.col("at").is_not_null())
    if len(cut):
        run, split, epoch, other, at = cut.row(0)
        raise ValueError(
            f"all epochs of a run must lie in one split, got epoch {epoch} of run {run} in "
            f"{_split(split)} and epoch {at} in {_split(other)}{_others(len(cut))}; split by run, "
            "never by epoch"
        )


def _check_duplicates(checkpoints: pl.DataFrame, duplicates: pa.Table) -> None:
    split = dict(checkpoints.select("run", "split").iter_rows())
    apart = [
        row
        for row in duplicates.to_pylist()
        if {row["run"], row["other_run"]} <= split.keys()
        and split[row["run"]] != split[row["other_run"]]
    ]
    if apart:
        first = apart[0]
        raise ValueError(
            f"duplicates must lie in one split, got run {first['run']}, epoch {first['epoch']} in "
            f"{_split(split[first['run']])}, {_KINDS[first['kind']]} run {first['other_run']}, "
            f"epoch {first['other_epoch']} in {_split(split[first['other_run']])}"
            f"{_others(len(apart))}; keep groups of duplicates together when splitting"
        )


def _split(name: str | None) -> str:
    return "no split" if name is None else printable(name)


def _others(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
