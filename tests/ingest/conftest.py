"""Small zoos in the layouts that others publish."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.ingest import ingest
from schemas.config.ingest import IngestConfig

SHAPES = architecture_named("digits-cnn").shapes()


def state_dict(seed: int, shapes=SHAPES) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def accuracy(run: int, epoch: int) -> float:
    """What the result files say, different for every checkpoint."""
    return round(0.1 + 0.01 * run + 0.1 * epoch, 4)


def write_run(
    zoo: Path,
    run: int,
    epochs: range = range(3),
    first_line: int = 0,
    zeros: bool = True,
    lines=None,
) -> Path:
    """Write a run as the published zoos have it; `first_line`: iteration of its first result."""
    hashed = "0123456789abcdef"[(7 * run) % 16] * 5
    folder = zoo / f"NN_tune_trainable_{hashed}_{run:05d}_{run}_seed={run + 1}_2021-01-01_00-00-00"
    folder.mkdir(parents=True)
    parameters = {"seed": run + 1, "optim::lr": 3e-4, "model::type": "CNN", "dropout": 0}
    (folder / "params.json").write_text(json.dumps(parameters))
    stated = range(first_line, epochs.stop) if lines is None else lines
    (folder / "result.json").write_text("".join(result_line(run, epoch) for epoch in stated))
    for epoch in epochs:
        name = f"checkpoint_{epoch:06d}" if zeros else f"checkpoint_{epoch}"
        (folder / name).mkdir()
        torch.save(state_dict(100 * run + epoch), folder / name / "checkpoints")
        torch.save({}, folder / name / "optimizer")
    return folder


def result_line(run: int, epoch: int) -> str:
    value = accuracy(run, epoch)
    result = {"test_acc": value, "train_acc": value + 0.05, "test_loss": 1.5, "train_loss": 1.25}
    return json.dumps(result | {"training_iteration": epoch, "config": {"a": {"b": [1]}}}) + "\n"


@pytest.fixture
def zoos() -> SimpleNamespace:
    """What tests make zoos of."""
    return SimpleNamespace(
        SHAPES=SHAPES,
        state_dict=state_dict,
        accuracy=accuracy,
        write_run=write_run,
        result_line=result_line,
    )


@pytest.fixture
def zoo(tmp_path) -> Path:
    """Four runs; two start with the untrained network, two with epoch 1; both namings."""
    folder = tmp_path / "zoo"
    for run in range(4):
        write_run(folder, run, range(run % 2, 3), first_line=run % 2, zeros=run < 2)
    (folder / "config.json").write_text("{}")
    return folder


class Result:
    """What an ingestion wrote."""

    def __init__(self, folder: Path, metrics: dict[str, float]):
        self.folder, self.metrics = folder, metrics
        self.table = pq.read_table(folder / "checkpoints.parquet")
        self.rows = self.table.to_pylist()
        self.quarantine = pq.read_table(folder / "quarantine.parquet").to_pylist()

    @property
    def weights(self) -> list[dict]:
        files = sorted((self.folder / "weights").iterdir())
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def entry(self, run: int, epoch: int, name: str) -> np.ndarray:
        (row,) = (
            row
            for row in self.weights
            if (row["run"], row["epoch"], row["name"]) == (run, epoch, name)
        )
        return np.array(row["values"], np.float32).reshape(row["shape"])


@pytest.fixture
def take(tmp_path):
    """Ingest into a new folder."""
    made = []

    def run(source, reader=None, on_checkpoint=None, seed=0, **options) -> Result:
        folder, scratch = tmp_path / f"out-{len(made)}", tmp_path / f"scratch-{len(made)}"
        made.append(folder)
        folder.mkdir()
        scratch.mkdir()
        config = IngestConfig(name="zoo", source=str(source), **options)
        metrics = ingest(source, folder, scratch, config, seed, reader, on_checkpoint)
        return Result(folder, metrics)

    return run
