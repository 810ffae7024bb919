"""A zoo's embeddings and its checkpoints table, made up."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sane_core.embedding.files import Embeddings
from schemas.tables import checkpoints_schema

HOSTILE = "</script><img src=x onerror=alert(1)> & <b>"


def made_zoo(runs: int = 6, epochs: int = 4) -> SimpleNamespace:
    """A zoo of two optimizers; its last run has a hostile name and no accuracy."""
    rng = np.random.default_rng(0)
    run, epoch = np.repeat(np.arange(runs), epochs), np.tile(np.arange(epochs), runs)
    starts = rng.standard_normal((runs, 12))[run]
    vectors = (starts + epoch[:, None] * rng.standard_normal(12)).astype(np.float32)
    split = np.array(["train", "validation", "test"])[run % 3]
    schema = checkpoints_schema({"lr": pa.float64(), "optimizer": pa.string(), "epoch": pa.int64()})
    rows = [
        {"run": r, "epoch": e, "architecture": "cnn", "split": "train", "zoo": "made"}
        | {"run_name": HOSTILE if r == runs - 1 else None}
        | {"test_accuracy": None if r == runs - 1 else 0.1 + 0.01 * r + e / 10}
        | {"test_loss": float("inf") if e == 0 else 1.0 / e}
        | {"hyperparameters": {"lr": 0.1, "optimizer": ("adam", "sgd")[r % 2], "epoch": r}}
        for r, e in zip(run.tolist(), epoch.tolist(), strict=True)
    ]
    shuffled = rng.permutation(len(run))
    return SimpleNamespace(
        embeddings=Embeddings(
            {"sane_mean": vectors[shuffled, :5], "sane_layers": vectors[shuffled]},
            run[shuffled],
            epoch[shuffled],
            split[shuffled],
        ),
        checkpoints=pa.Table.from_pylist(rows, schema=schema),
        vectors=vectors,
    )


@pytest.fixture
def zoo() -> SimpleNamespace:
    return made_zoo()


@pytest.fixture
def larger_zoo() -> SimpleNamespace:
    return made_zoo(runs=50)
