"""The zoos that ship with the package are whole, small, and what they say they are."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.images.idx import read_idx
from sane_core.images.images import Images
from sane_core.samples import sample_zoo, sample_zoos
from sane_core.zoo.files import read_weights
from sane_core.zoo.ingest import ingest
from sane_core.zoo.leakage import check_leakage
from sane_core.zoo.population.score import score, stack
from schemas.config.ingest import IngestConfig

MNIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist"
MOST_BYTES = 10_000_000
MOST_EPOCHS = 12


@pytest.mark.parametrize("name", sample_zoos())
def test_a_sample_is_small_and_holds_every_checkpoint_of_its_table(name: str) -> None:
    folder = sample_zoo(name)
    assert sum(path.stat().st_size for path in folder.rglob("*.parquet")) <= MOST_BYTES
    table = pl.read_parquet(folder / "checkpoints.parquet")
    runs, epochs = (sorted(table[column].unique()) for column in ("run", "epoch"))
    assert len(table) == len(runs) * len(epochs)
    assert len(epochs) <= MOST_EPOCHS
    architecture = architecture_named(table["architecture"][0])
    weights = read_weights(folder / "weights", architecture.shapes(), runs, epochs)
    assert sum(values[0, 0].size for values in weights.values()) == architecture.parameter_count()
    check_leakage(folder)


def test_the_mnist_cnns_ship_and_are_named_where_another_is_asked_for() -> None:
    assert "mnist-cnn" in sample_zoos()
    with pytest.raises(ValueError, match="sample zoo must be one of .*mnist-cnn.*, got 'none'"):
        sample_zoo("none")


def test_a_sample_is_ingested_by_its_name(tmp_path: Path) -> None:
    for folder in ("out", "scratch"):
        (tmp_path / folder).mkdir()
    config = IngestConfig(name="mnist", source="sample:mnist-cnn")
    metrics = ingest(config.source, tmp_path / "out", tmp_path / "scratch", config, 0)
    table = pl.read_parquet(sample_zoo("mnist-cnn") / "checkpoints.parquet")
    assert metrics["zoo.checkpoints"] == len(table)
    assert metrics["zoo.quarantined"] == 0


def test_half_precision_keeps_the_accuracy_of_the_table() -> None:
    if not MNIST.exists():
        pytest.skip(f"no images in {MNIST}")
    folder = sample_zoo("mnist-cnn")
    table = pl.read_parquet(folder / "checkpoints.parquet")
    last = table.filter(pl.col("epoch") == pl.col("epoch").max()).head(4)
    architecture = architecture_named("cnn")
    weights = read_weights(
        folder / "weights", architecture.shapes(), last["run"].to_list(), [last["epoch"][0]]
    )
    pixels = read_idx(MNIST / "t10k-images-idx3-ubyte.gz", 3)[:, None]
    labels = read_idx(MNIST / "t10k-labels-idx1-ubyte.gz", 1).astype(np.int64)
    images = Images(pixels, labels, 1 / 255, (0.1307,), (0.3081,))
    torch.set_num_threads(1)
    population = stack(architecture, {name: values[:, 0] for name, values in weights.items()})
    correct, _ = score(architecture, population, images)
    np.testing.assert_allclose(correct.mean(1), last["test_accuracy"], atol=0.005)
