"""A small copy of a zoo holds what it says, and is ingested like any other."""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sane_core.images.prepare import prepare
from sane_core.zoo.build import train_zoo
from sane_core.zoo.compact import compact_zoo
from sane_core.zoo.files import read_checkpoint
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.ingest import ingest
from sane_core.zoo.matching import Matcher
from sane_core.zoo.readers.reader import ScanOptions
from sane_core.zoo.readers.sane_zoo import SaneZoo
from schemas.config.images import ImagesConfig
from schemas.config.ingest import IngestConfig
from schemas.config.zoo import ZooConfig
from schemas.errors import UserError

RECIPE = ZooConfig(
    members=5,
    epochs=2,
    images=ImagesConfig(train=40, validation=10, test=10, size=4),
    architecture="resnet18[channels=1,size=4,width=2]",
    batch=20,
    way="patches",
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    for name in ("images", "made", "scratch"):
        (folder / name).mkdir()
    torch.set_num_threads(1)
    prepare(RECIPE.images, folder, 0, folder / "images")
    train_zoo(RECIPE, folder / "images", 0, folder / "made", folder / "scratch")
    return folder / "made"


@pytest.fixture(scope="module")
def copy(zoo: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("copy") / "small"
    compact_zoo(zoo, out, [0, 2, 3], [0, 2])
    return out


def test_the_copy_holds_the_chosen_runs_and_epochs_with_their_metrics(zoo, copy) -> None:
    chosen = [(run, epoch) for run in (0, 2, 3) for epoch in (0, 2)]
    rows = {
        (r["run"], r["epoch"]): r for r in pq.read_table(zoo / "checkpoints.parquet").to_pylist()
    }
    kept = pq.read_table(copy / "checkpoints.parquet").to_pylist()
    assert kept == [rows[place] for place in chosen]


def test_weights_are_rounded_to_half_precision_and_counters_are_not(zoo, copy) -> None:
    before, _ = read_checkpoint(zoo / "weights", 2, 2)
    after, dtypes = read_checkpoint(copy / "weights", 2, 2)
    assert {*dtypes.values()} == {"float16", "int64"}
    for name, values in before.items():
        assert np.array_equal(after[name], values.astype(np.float16).astype(np.float32)), name
        assert after[name].shape == values.shape


def test_a_run_that_is_not_there_is_named(zoo, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every run that is kept must be in the zoo, got \[7\]"):
        compact_zoo(zoo, tmp_path / "out", [0, 7], [0])


def test_a_copy_is_ingested_with_its_metrics_and_hyperparameters(copy, tmp_path: Path) -> None:
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    config = IngestConfig(name="again", source=str(copy))
    ingest(copy, tmp_path / "out", tmp_path / "scratch", config, 0)
    rows = pq.read_table(tmp_path / "out" / "checkpoints.parquet").to_pylist()
    kept = pq.read_table(copy / "checkpoints.parquet").to_pylist()
    for name in ("epoch", "test_accuracy", "train_loss", "architecture", "licence"):
        assert [row[name] for row in rows] == [row[name] for row in kept]
    assert rows[0]["hyperparameters"]["learning_rate"] == 1e-3
    before, _ = read_checkpoint(copy / "weights", 3, 2)
    after, _ = read_checkpoint(tmp_path / "out" / "weights", 2, 2)
    assert all(np.array_equal(after[name], values) for name, values in before.items())


def test_a_row_without_weights_is_refused_and_a_broken_table_named(copy, tmp_path: Path) -> None:
    reader = SaneZoo()
    found = next(iter(reader.scan(str(copy), ScanOptions())))
    with pytest.raises(Refused, match="must have its weights: run 9"):
        reader.read(type(found)(run="9", epoch=0, path=found.path, file="", number=9))
    (tmp_path / "weights").mkdir()
    (tmp_path / "checkpoints.parquet").write_text("no table")
    assert reader.recognises(str(tmp_path))
    with pytest.raises(UserError, match=r"checkpoints.parquet must be a Parquet table"):
        next(iter(reader.scan(str(tmp_path), ScanOptions())))


def test_a_factory_is_never_imported_on_the_word_of_a_table() -> None:
    shapes = {"module_list.0.weight": (1, 1)}
    with pytest.raises(Refused, match="names and shapes must be those of a registered"):
        Matcher(None, mixed=False).match(shapes, hint="antigravity:factory")
    assert "antigravity" not in sys.modules
