"""Small zoos on disk, written as a zoo stage writes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.tables import CHECKPOINTS, WEIGHTS

Network = Mapping[str, np.ndarray]
Checkpoint = tuple[int, int, Network]
SHAPES = {
    "conv.weight": (8, 3, 3, 3),
    "conv.bias": (8,),
    "fc.weight": (10, 8),
    "fc.bias": (10,),
}


def network(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: (0.2 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def permuted(net: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Reorder the hidden units: rows of conv with columns of fc."""
    order = np.random.default_rng(seed).permutation(8)
    return {
        "conv.weight": net["conv.weight"][order],
        "conv.bias": net["conv.bias"][order],
        "fc.weight": net["fc.weight"][:, order],
        "fc.bias": net["fc.bias"],
    }


def in_half_precision(net: Network) -> dict[str, np.ndarray]:
    return {name: v.astype(np.float16).astype(np.float32) for name, v in net.items()}


def in_bfloat16(net: Network) -> dict[str, np.ndarray]:
    """Round to the nearest number of 8 significant bits."""
    rounded = {}
    for name, values in net.items():
        fraction, exponent = np.frexp(values)
        rounded[name] = np.ldexp(np.round(fraction * 256) / 256, exponent).astype(np.float32)
    return rounded


def retrained(net: Network, step: float = 1e-3) -> dict[str, np.ndarray]:
    """Move every weight by `step` up or down, as one step of Adam does."""
    rng = np.random.default_rng(7)
    return {
        name: v + np.float32(step) * rng.choice(np.float32([-1, 1]), v.shape)
        for name, v in net.items()
    }


def write_weights(
    folder: Path, checkpoints: Sequence[Checkpoint], files: int = 1, groups: int = 1
) -> None:
    """Write checkpoints into so many files, each of so many row groups."""
    (folder / "weights").mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(len(checkpoints)), files)):
        rows = [
            {"run": run, "epoch": epoch, "name": name, "dtype": str(v.dtype)}
            | {"shape": list(v.shape), "values": v.astype(np.float32).ravel()}
            for run, epoch, net in (checkpoints[i] for i in part)
            for name, v in net.items()
        ]
        table = pa.Table.from_pylist(rows, schema=WEIGHTS)
        path = folder / "weights" / f"part-{number:05d}.parquet"
        pq.write_table(table, path, row_group_size=-(-len(rows) // groups))


def write_splits(folder: Path, rows: Sequence[tuple[int, int, str | None]]) -> None:
    """Write the checkpoints table: rows of (run, epoch, split)."""
    columns = [dict(zip(("run", "epoch", "split"), row, strict=True)) for row in rows]
    table = pa.Table.from_pylist(columns, schema=CHECKPOINTS)
    pq.write_table(table, folder / "checkpoints.parquet")


@pytest.fixture(scope="session")
def nets() -> SimpleNamespace:
    """Return the ways to make networks."""
    ways = (network, permuted, in_half_precision, in_bfloat16, retrained)
    return SimpleNamespace(**{way.__name__: way for way in ways})


@pytest.fixture
def zoo_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a zoo: a network per run at epoch 1, or checkpoints (run, epoch, network)."""

    def write(*networks: Network | Checkpoint, splits: str = "", **layout: int) -> Path:
        checkpoints = [
            each if isinstance(each, tuple) else (run, 1, each) for run, each in enumerate(networks)
        ]
        write_weights(tmp_path, checkpoints, **layout)
        if splits:
            names = splits.split()
            rows = [(run, epoch, names[run]) for run, epoch, _ in checkpoints]
            write_splits(tmp_path, rows)
        return tmp_path

    return write


@pytest.fixture
def table_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoints table of rows (run, epoch, split), beside whatever weights there are."""

    def write(*rows: tuple[int, int, str | None]) -> Path:
        write_splits(tmp_path, rows)
        return tmp_path

    return write
