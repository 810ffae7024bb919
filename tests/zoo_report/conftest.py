"""A tiny zoo of 9 runs, 3 per split, with everything a report can show."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.tables import QUARANTINE, WEIGHTS, checkpoints_schema

EPOCHS = (0, 1, 5, 25)
SCHEMA = checkpoints_schema({"learning_rate": pa.float64(), "optimizer": pa.string()})
METRICS = [name for name in SCHEMA.names if name.endswith(("accuracy", "loss", "gap"))]
ENTRIES = {"fc.weight": (10, 4), "fc.bias": (10,), "norm.running_mean": (7,)}


@pytest.fixture
def zoo(write_zoo: Callable[..., Path]) -> Path:
    return write_zoo()


@pytest.fixture
def bare(zoo: Path) -> Path:
    """Drop all metrics of the zoo: its page has no figures and is drawn in no time."""
    path = zoo / "checkpoints.parquet"
    pq.write_table(pq.read_table(path).drop_columns(METRICS), path)
    return zoo


@pytest.fixture
def write_zoo(tmp_path: Path) -> Callable[..., Path]:
    """Write the zoo; keywords are columns of the checkpoints table to write instead."""

    def write(**columns: Any) -> Path:
        folder = tmp_path / "zoo"
        (folder / "weights").mkdir(parents=True)
        rows = [_checkpoint(run, epoch) | columns for run in range(9) for epoch in EPOCHS]
        _write(folder / "checkpoints.parquet", rows, SCHEMA)
        _write(folder / "weights" / "part-00000.parquet", _weights(), WEIGHTS)
        return folder

    return write


@pytest.fixture
def add_quarantine(zoo: Path) -> Callable[..., None]:
    """Write a quarantine table: files by reason, and a pending one."""

    def write(pending: bool = True, **files: int) -> None:
        rows = [
            {"file": f"{reason}/{i}.pt", "run": None, "epoch": None, "reason": f"{reason} is wrong"}
            | {"remedy": f"mend {reason}", "pending": False}
            for reason, count in files.items()
            for i in range(count)
        ]
        if pending:
            rows.append(
                {"file": "new.pt", "run": "new", "epoch": 3, "reason": "it ends early"}
                | {"remedy": "wait", "pending": True}
            )
        _write(zoo / "quarantine.parquet", rows, QUARANTINE)

    return write


@pytest.fixture
def add_duplicates(zoo: Path) -> Callable[..., None]:
    """Write a duplicates table of one run, or an empty one."""

    def write(*epochs: int) -> None:
        columns: Mapping[str, Any] = {
            "run": pa.array([8] * len(epochs), pa.int32()),
            "epoch": pa.array(epochs, pa.int32()),
            "other_run": pa.array([2] * len(epochs), pa.int32()),
            "other_epoch": pa.array(epochs, pa.int32()),
            "kind": pa.array(["near"] * len(epochs), pa.string()),
            "largest_difference": pa.array([0.25] * len(epochs), pa.float32()),
        }
        pq.write_table(pa.table(columns), zoo / "duplicates.parquet")

    return write


def _checkpoint(run: int, epoch: int) -> dict[str, Any]:
    accuracy = 0.1 + 0.03 * epoch + 0.001 * run
    return (
        dict.fromkeys(METRICS, accuracy)
        | {"zoo": "tiny", "run": run, "run_name": f"seed={run}", "epoch": epoch}
        | {"split": ("train", "validation", "test")[run // 3], "architecture": "mlp"}
        | {"licence": "MIT" if run else None}
        | {"hyperparameters": {"learning_rate": 0.01 * (run + 1), "optimizer": "adam"}}
    )


def _weights() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"run": run, "epoch": epoch, "name": name, "dtype": "float32", "shape": list(shape)}
        | {"values": rng.random(int(np.prod(shape)), np.float32)}
        for epoch in EPOCHS
        for run in range(9)
        for name, shape in ENTRIES.items()
    ]


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
