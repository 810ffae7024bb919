"""Checkpoints read one after another are those that `read_tokens` reads at once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.weights import files
from sane_core.weights.files import TokenSet, read_tokens, write_tokens
from sane_core.weights.layers import layers_of
from sane_core.weights.streaming import Place, each_checkpoint, places_of, token_size
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.tables import CHECKPOINTS

LAYERS = layers_of(architecture_named("digits-cnn").shapes())
D_T = 73
CHECKPOINT = 48 * D_T * 4


@pytest.fixture(params=["float32", "float16"])
def folder(request, tmp_path, monkeypatch):
    """Two parts of 4 runs at 3 epochs each, two checkpoints in a row group."""
    monkeypatch.setattr(files, "LARGEST_GROUP", 2 * CHECKPOINT)
    monkeypatch.setattr(files, "SMALLEST_GROUP", 1)
    (tmp_path / "split=train").mkdir()
    rows = []
    for part in range(2):
        epochs, runs = (axis.ravel() for axis in np.mgrid[:3, 4 * part : 4 * part + 4])
        rng = np.random.default_rng(part)
        tokens = TokenSet(
            values=rng.standard_normal((12, 48, D_T), dtype=np.float32),
            positions=positions_of(LAYERS, D_T),
            lengths=lengths_of(LAYERS, D_T),
            runs=runs,
            epochs=epochs,
        )
        write_tokens(tmp_path / "split=train" / f"part-{part:05d}.parquet", tokens, request.param)
        for run, epoch in zip(runs.tolist(), epochs.tolist(), strict=True):
            first = 48 * len(rows)
            place = {"first_token": first, "last_token": first + 47}
            rows.append({"run": run, "epoch": epoch, "split": "train"} | place)
    rows.append({"run": 99, "epoch": 0, "split": "test", "first_token": 0, "last_token": 47})
    table = pa.Table.from_pylist(rows[::-1], schema=CHECKPOINTS)
    pq.write_table(table, tmp_path / "checkpoints.parquet")
    return tmp_path


def test_places_come_in_the_order_of_the_tokens(folder):
    places = places_of(folder / "checkpoints.parquet", "train")
    tokens = read_tokens(folder, "train")
    assert [place.run for place in places] == tokens.runs.tolist()
    assert [place.epoch for place in places] == tokens.epochs.tolist()
    some = places_of(folder / "checkpoints.parquet", "train", (0, 2))
    assert [place for place in places if place.epoch != 1] == list(some)


@pytest.mark.parametrize("epochs", [None, (1,), (0, 2)])
def test_each_checkpoint_is_that_of_the_whole_split(folder, epochs):
    places = places_of(folder / "checkpoints.parquet", "train", epochs)
    tokens = read_tokens(folder, "train", epochs)
    read = [values.copy() for _, values in each_checkpoint(folder, "train", places)]
    assert read[0].dtype == np.float32
    assert np.array_equal(read, tokens.values)


def test_a_checkpoint_over_several_row_groups_is_put_together(folder, monkeypatch):
    tokens = read_tokens(folder, "train")
    monkeypatch.setattr(files, "LARGEST_GROUP", CHECKPOINT // 3)
    path = folder / "split=train" / "part-00000.parquet"
    first = TokenSet(
        tokens.values[:12], tokens.positions, tokens.lengths, tokens.runs[:12], tokens.epochs[:12]
    )
    write_tokens(path, first)
    assert pq.read_metadata(path).num_row_groups == 36
    places = places_of(folder / "checkpoints.parquet", "train")
    read = [values.copy() for _, values in each_checkpoint(folder, "train", places)]
    assert np.array_equal(read, tokens.values)


def test_a_row_group_is_read_once_and_those_of_others_never(folder, monkeypatch):
    read = []
    original = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, group, **options: read.append(group) or original(self, group, **options),
    )
    places = places_of(folder / "checkpoints.parquet", "train", (1,))
    assert len(list(each_checkpoint(folder, "train", places))) == 8
    assert read == [2, 3, 2, 3]  # epoch 1 of both parts


def test_the_token_size_is_that_of_the_table(folder):
    assert token_size(folder) == D_T


def test_tokens_of_another_artifact_are_noticed(folder):
    with pytest.raises(ValueError, match="must hold run 5 at epoch 0, got others"):
        list(each_checkpoint(folder, "train", [Place(5, 0, 0, 47)]))
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.1152, got 1152\.\.1200"):
        list(each_checkpoint(folder, "train", [Place(5, 0, 1152, 1199)]))
