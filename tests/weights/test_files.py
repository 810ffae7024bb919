"""Tokens on disk are the tokens that were written, and any Parquet reader may take a part."""

import io
import os
import tracemalloc

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.weights import files
from sane_core.weights.files import (
    TokenSet,
    read_layers,
    read_statistics,
    read_tokens,
    write_layers,
    write_tokens,
    write_weights,
)
from sane_core.weights.layers import layers_of, layers_of_architecture
from sane_core.weights.standardize import identity, measure, standardize
from sane_core.weights.tokens import lengths_of, positions_of, tokenize
from schemas.tables import LAYERS as LAYERS_SCHEMA
from schemas.tables import tokens_schema

DIGITS_CNN = architecture_named("digits-cnn")
LAYERS = layers_of(DIGITS_CNN.shapes())
D_T = 73
CHECKPOINT = 48 * D_T * 4


def token_set(runs, epochs, seed=0) -> TokenSet:
    """Every run at every epoch."""
    count = len(runs) * len(epochs)
    return TokenSet(
        values=np.random.default_rng(seed).standard_normal((count, 48, D_T), dtype=np.float32),
        positions=positions_of(LAYERS, D_T),
        lengths=lengths_of(LAYERS, D_T),
        runs=np.repeat(runs, len(epochs)),
        epochs=np.tile(epochs, len(runs)),
    )


def groups_in(path) -> list[list[tuple[int, int]]]:
    """Return the (epoch, run) of the checkpoints in each row group."""
    file = pq.ParquetFile(path)
    tables = [file.read_row_group(i, columns=["epoch", "run"]) for i in range(file.num_row_groups)]
    return [
        sorted(set(zip(*(t[name].to_pylist() for name in ("epoch", "run")), strict=True)))
        for t in tables
    ]


@pytest.fixture
def tokens() -> TokenSet:
    """Runs 2, 5 and 9 at epochs 0, 1 and 2."""
    return token_set([2, 5, 9], [0, 1, 2])


@pytest.fixture
def small_groups(monkeypatch):
    """Two checkpoints fill a row group, and one is large enough."""
    monkeypatch.setattr(files, "LARGEST_GROUP", 2 * CHECKPOINT)
    monkeypatch.setattr(files, "SMALLEST_GROUP", CHECKPOINT)


@pytest.fixture
def folder(tmp_path, tokens, small_groups):
    (tmp_path / "split=train").mkdir()
    write_tokens(tmp_path / "split=train" / "part-00000.parquet", tokens)
    return tmp_path


def test_written_tokens_are_read_back_bit_for_bit(folder, tokens):
    found = read_tokens(folder, "train")
    order = np.lexsort((tokens.runs, tokens.epochs))
    assert found.values.tobytes() == tokens.values[order].tobytes()
    assert np.array_equal(found.runs, tokens.runs[order])
    assert np.array_equal(found.epochs, tokens.epochs[order])
    assert np.array_equal(found.positions, tokens.positions)
    assert np.array_equal(found.lengths, tokens.lengths)


def test_only_the_epochs_asked_for_are_read(folder, tokens):
    found = read_tokens(folder, "train", [0, 2])
    assert found.epochs.tolist() == [0, 0, 0, 2, 2, 2]
    assert np.array_equal(found.values[3:], tokens.values[tokens.epochs == 2])


def test_epochs_that_share_a_row_group_are_told_apart(tmp_path, tokens):
    (tmp_path / "split=train").mkdir()
    path = tmp_path / "split=train" / "part-00000.parquet"
    write_tokens(path, tokens)
    assert groups_in(path) == [[(epoch, run) for epoch in range(3) for run in (2, 5, 9)]]
    found = read_tokens(tmp_path, "train", [1])
    assert found.runs.tolist() == [2, 5, 9]
    assert np.array_equal(found.values, tokens.values[tokens.epochs == 1])


def test_parts_are_read_in_the_order_of_their_names(folder, tokens):
    other = token_set([0, 1], [0, 1, 2], seed=1)
    write_tokens(folder / "split=train" / "part-00001.parquet", other)
    found = read_tokens(folder, "train", [1])
    assert found.runs.tolist() == [2, 5, 9, 0, 1]
    assert np.array_equal(found.values[:3], tokens.values[tokens.epochs == 1])
    assert np.array_equal(found.values[3:], other.values[other.epochs == 1])


def test_epochs_that_are_not_there_are_refused(folder):
    with pytest.raises(ValueError, match="split train must hold whole checkpoints .* got 0"):
        read_tokens(folder, "train", [7])


def test_a_split_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match="split test must hold whole checkpoints .* got 0"):
        read_tokens(folder, "test")


def test_a_checkpoint_that_lost_a_token_is_refused(folder):
    path = folder / "split=train" / "part-00000.parquet"
    table = pq.read_table(path, schema=tokens_schema(D_T))
    pq.write_table(table.slice(1), path)
    with pytest.raises(ValueError, match="must hold whole checkpoints of equal length, got 431"):
        read_tokens(folder, "train")


def test_a_row_group_holds_whole_checkpoints_of_one_epoch(folder):
    assert groups_in(folder / "split=train" / "part-00000.parquet") == [
        [(epoch, run) for run in runs] for epoch in range(3) for runs in ((2, 5), (9,))
    ]


def test_small_epochs_share_a_row_group_until_it_is_large_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALLEST_GROUP", 4 * CHECKPOINT)
    write_tokens(tmp_path / "a.parquet", token_set([2, 5, 9], [0, 1, 2]))
    assert [{epoch for epoch, _ in group} for group in groups_in(tmp_path / "a.parquet")] == [
        {0, 1},
        {2},
    ]


def test_a_checkpoint_larger_than_a_row_group_is_split(tmp_path, tokens, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_GROUP", CHECKPOINT // 2 - 1)
    monkeypatch.setattr(files, "SMALLEST_GROUP", CHECKPOINT // 4)
    (tmp_path / "split=train").mkdir()
    path = tmp_path / "split=train" / "part-00000.parquet"
    write_tokens(path, tokens)
    rows = [pq.ParquetFile(path).metadata.row_group(i).num_rows for i in range(6)]
    assert rows == [16] * 6
    found = read_tokens(tmp_path, "train", [1, 2])
    assert np.array_equal(found.values[:3], tokens.values[tokens.epochs == 1])
    assert np.array_equal(found.values[3:], tokens.values[tokens.epochs == 2])


def test_an_epoch_over_a_row_group_is_dealt_out_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_GROUP", 4 * CHECKPOINT)
    monkeypatch.setattr(files, "SMALLEST_GROUP", CHECKPOINT)
    write_tokens(tmp_path / "a.parquet", token_set(range(5), [3]))
    assert [len(group) for group in groups_in(tmp_path / "a.parquet")] == [3, 2]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_are_written_as_their_standardized_tokens(tmp_path, small_groups, dtype):
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal((7, *shape), np.float32)
        for name, shape in DIGITS_CNN.shapes().items()
    }
    statistics = measure(weights, LAYERS)
    runs, epochs = np.array([3, 1, 2, 3, 1, 2, 0]), np.array([1, 1, 1, 0, 0, 0, 0])
    split = tmp_path / "split=test"
    split.mkdir()
    write_weights(split / "a.parquet", weights, LAYERS, D_T, statistics, runs, epochs, dtype)
    values = tokenize(standardize(weights, LAYERS, statistics), LAYERS, D_T)
    tokens = TokenSet(values, positions_of(LAYERS, D_T), lengths_of(LAYERS, D_T), runs, epochs)
    write_tokens(tmp_path / "b.parquet", tokens, dtype)
    assert (split / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    found = read_tokens(tmp_path, "test")
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values[0], values[6].astype(dtype))
    assert found.runs.tolist() == [0, 1, 2, 3, 1, 2, 3]


def test_values_over_the_range_of_float16_are_refused(tmp_path, tokens):
    tokens.values[0, 0, 0] = 70_000
    with pytest.raises(ValueError, match="at most 65504 to be stored as float16, got 70000.0"):
        write_tokens(tmp_path / "a.parquet", tokens, "float16")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_polars_scans_lazily_and_pushes_filters_down(tmp_path, tokens, small_groups, dtype):
    write_tokens(tmp_path / "part-00000.parquet", tokens, dtype)
    scanned = pl.scan_parquet(tmp_path / "*.parquet").filter(
        (pl.col("epoch") == 1) & (pl.col("l") == 3)
    )
    plan = scanned.explain()
    assert "SELECTION" in plan.split("Parquet SCAN")[1]
    assert "FILTER" not in plan.split("Parquet SCAN")[0]
    found = scanned.sort("run", "k").collect()
    layer = tokens.positions[:, 1] == 3
    expected = tokens.values[tokens.epochs == 1][:, layer].reshape(-1, D_T).astype(dtype)
    assert np.array_equal(found["values"].to_numpy(), expected)


class Counting(io.FileIO):
    """A file that counts what is read of it."""

    read_bytes = 0

    def readinto(self, buffer) -> int:
        count = super().readinto(buffer)
        self.read_bytes += count
        return count

    def read(self, size=-1) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_one_layer_of_one_epoch_of_all_runs_touches_a_twentieth_of_the_bytes(tmp_path):
    """As for 51 epochs of 1,000 CNNs: an epoch is a row group of its own."""
    tokens = token_set(range(300), range(25))
    path = tmp_path / "part-00000.parquet"
    write_tokens(path, tokens)
    with Counting(path) as file:
        wanted = [("epoch", "==", 7), ("l", "==", 3)]
        found = pq.read_table(pa.PythonFile(file, "r"), columns=["run", "values"], filters=wanted)
        touched = file.read_bytes
    layer = tokens.positions[:, 1] == 3
    expected = tokens.values[tokens.epochs == 7][:, layer].reshape(-1)
    assert np.array_equal(found["values"].combine_chunks().flatten().to_numpy(), expected)
    assert 0.01 < touched / os.path.getsize(path) <= 0.05


def test_reading_and_writing_need_no_copy_of_the_whole_set(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_GROUP", 20 * CHECKPOINT)
    monkeypatch.setattr(files, "SMALLEST_GROUP", 10 * CHECKPOINT)
    tokens = token_set(range(40), range(20))
    size = tokens.values.nbytes
    (tmp_path / "split=train").mkdir()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        write_tokens(tmp_path / "split=train" / "part-00000.parquet", tokens)
        assert tracemalloc.get_traced_memory()[1] < 0.15 * size
        tracemalloc.reset_peak()
        read_tokens(tmp_path, "train")
        assert tracemalloc.get_traced_memory()[1] < 1.15 * size
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 0.1 * size


def test_the_layer_table_keeps_layers_and_statistics(tmp_path):
    architecture = architecture_named("resnet18[width=4]")
    layers = layers_of_architecture(architecture, "affine")
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal((2, *shape)) for name, shape in architecture.shapes().items()
    }
    statistics = measure(weights, layers, "minmax")
    path = tmp_path / "layers.parquet"
    write_layers(path, architecture.name, layers, 37, statistics)
    table = pq.read_table(path)
    assert table.schema.equals(LAYERS_SCHEMA)
    assert table["tokens"].to_pylist()[:2] == [4, 4]
    assert np.array_equal(table["variance"].to_numpy(), statistics.variance)
    assert read_layers(path) == layers
    found = read_statistics(path)
    assert found.names == statistics.names
    for name in ("mean", "std", "minimum", "maximum", "offset", "scale"):
        assert np.array_equal(getattr(found, name), getattr(statistics, name))


def test_statistics_read_back_standardize_alike(tmp_path, tokens):
    write_layers(tmp_path / "layers.parquet", "digits-cnn", LAYERS, D_T, identity(LAYERS))
    statistics = read_statistics(tmp_path / "layers.parquet")
    weights = {name: np.ones((1, *shape)) for name, shape in DIGITS_CNN.shapes().items()}
    found = standardize(weights, read_layers(tmp_path / "layers.parquet"), statistics)
    assert all(np.array_equal(found[name], values) for name, values in weights.items())
