"""A trial is judged by train and validation runs; no test run is read for it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.tune_measure import promise
from sane_core.embedding.files import Embeddings
from sane_core.probing.validation import check_target, validation_r2
from sane_core.seeding import rng_for

RUNS = 60
LAMBDAS = (1e-3, 1e-5)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A property that the first dimension of the embedding tells, of three splits of runs."""
    accuracy = embeddings().vectors["sane_mean"][:, 0].astype(np.float64)
    table = {"run": np.arange(RUNS), "epoch": np.ones(RUNS, int), "accuracy": accuracy}
    pq.write_table(pa.table(table | {"split": ["x"] * RUNS}), tmp_path / "checkpoints.parquet")
    return tmp_path / "checkpoints.parquet"


def embeddings() -> Embeddings:
    drawn = rng_for(0, "embeddings").standard_normal((RUNS, 4)).astype(np.float32)
    split = np.array(["train", "validation", "test"])[np.arange(RUNS) % 3]
    return Embeddings({"sane_mean": drawn}, np.arange(RUNS), np.ones(RUNS, int), split)


def test_a_property_that_the_embedding_holds_is_told_and_noise_is_not(checkpoints: Path) -> None:
    given = embeddings()
    assert validation_r2(checkpoints, given, "accuracy", LAMBDAS) > 0.99
    given.vectors["sane_mean"] = rng_for(1, "noise").standard_normal((RUNS, 4))
    assert validation_r2(checkpoints, given, "accuracy", LAMBDAS) < 0.5


def test_test_runs_change_nothing_and_validation_runs_do(checkpoints: Path) -> None:
    before = validation_r2(checkpoints, embeddings(), "accuracy", LAMBDAS)
    for split, same in (("test", True), ("validation", False)):
        given = embeddings()
        given.vectors["sane_mean"][given.split == split] += 3.0
        after = validation_r2(checkpoints, given, "accuracy", LAMBDAS)
        assert (after == before) == same


def test_a_property_that_no_checkpoint_has_is_refused_with_those_there_are(checkpoints) -> None:
    with pytest.raises(ValueError, match="got colour; choose one of run, epoch, accuracy"):
        check_target(checkpoints, "colour")
    with pytest.raises(ValueError, match="got split"):
        check_target(checkpoints, "split")


def test_larger_is_better_for_probes_and_smaller_for_losses() -> None:
    record = {"epoch": 1, "validation_loss": 0.3, "validation_reconstruction": 0.2}
    assert promise("validation_loss", record) == 0.3
    assert promise("validation_reconstruction", record) == 0.2
    assert promise("probe.epoch", record) == -0.2
