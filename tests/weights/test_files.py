"""Tokens on disk are the tokens that were written, and any Parquet reader may take a part."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.weights.files import (
    TokenSet,
    read_statistics,
    read_tokens,
    write_layers,
    write_tokens,
)
from sane_core.weights.layers import layers_of
from sane_core.weights.standardize import Statistics
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.tables import LAYERS as LAYERS_SCHEMA
from schemas.tables import tokens_schema

DIGITS_CNN = architecture_named("digits-cnn")
LAYERS = layers_of(DIGITS_CNN.shapes())
D_T = 73


@pytest.fixture
def tokens() -> TokenSet:
    """Runs 2, 5 and 9 at epochs 0, 1 and 2."""
    values = np.random.default_rng(0).standard_normal((9, 48, D_T), dtype=np.float32)
    return TokenSet(
        values=values,
        positions=positions_of(LAYERS, D_T),
        lengths=lengths_of(LAYERS, D_T),
        runs=np.repeat([2, 5, 9], 3),
        epochs=np.tile([0, 1, 2], 3),
    )


@pytest.fixture
def folder(tmp_path, tokens):
    (tmp_path / "split=train").mkdir()
    write_tokens(tmp_path / "split=train" / "part-00000.parquet", tokens)
    return tmp_path


def test_written_tokens_are_read_back_bit_for_bit(folder, tokens):
    found = read_tokens(folder, "train")
    order = np.lexsort((tokens.runs, tokens.epochs))
    assert np.array_equal(found.values, tokens.values[order])
    assert np.array_equal(found.runs, tokens.runs[order])
    assert np.array_equal(found.epochs, tokens.epochs[order])
    assert np.array_equal(found.positions, tokens.positions)
    assert np.array_equal(found.lengths, tokens.lengths)


def test_only_the_epochs_asked_for_are_read(folder, tokens):
    found = read_tokens(folder, "train", [0, 2])
    assert found.epochs.tolist() == [0, 0, 0, 2, 2, 2]
    assert np.array_equal(found.values[3:], tokens.values[tokens.epochs == 2])


def test_epochs_that_are_not_there_are_refused(folder):
    with pytest.raises(ValueError, match="split train must hold whole checkpoints .* got 0"):
        read_tokens(folder, "train", [7])


def test_a_checkpoint_that_lost_a_token_is_refused(folder):
    path = folder / "split=train" / "part-00000.parquet"
    table = pq.read_table(path, schema=tokens_schema(D_T))
    pq.write_table(table.slice(1), path)
    with pytest.raises(ValueError, match="must hold whole checkpoints of equal length, got 431"):
        read_tokens(folder, "train")


def test_a_row_group_holds_one_epoch(folder):
    file = pq.ParquetFile(folder / "split=train" / "part-00000.parquet")
    groups = [file.read_row_group(i, columns=["epoch"]) for i in range(file.num_row_groups)]
    assert [set(group["epoch"].to_pylist()) for group in groups] == [{0}, {1}, {2}]


def test_polars_scans_lazily_and_pushes_filters_down(folder, tokens):
    scanned = pl.scan_parquet(folder / "split=train" / "*.parquet").filter(
        (pl.col("epoch") == 1) & (pl.col("l") == 3)
    )
    plan = scanned.explain()
    assert "SELECTION" in plan.split("Parquet SCAN")[1]
    assert "FILTER" not in plan.split("Parquet SCAN")[0]
    found = scanned.sort("run", "k").collect()
    layer = tokens.positions[:, 1] == 3
    expected = tokens.values[tokens.epochs == 1][:, layer].reshape(-1, D_T)
    assert np.array_equal(found["values"].to_numpy(), expected)


def test_the_layer_table_keeps_the_statistics(tmp_path):
    statistics = Statistics(np.arange(5) / 3, 1 + np.arange(5) / 7)
    write_layers(tmp_path / "layers.parquet", "digits-cnn", LAYERS, D_T, statistics)
    table = pq.read_table(tmp_path / "layers.parquet")
    assert table.schema.equals(LAYERS_SCHEMA)
    assert table["tokens"].to_pylist() == [8, 6, 4, 20, 10]
    found = read_statistics(tmp_path / "layers.parquet")
    assert np.array_equal(found.mean, statistics.mean)
    assert np.array_equal(found.std, statistics.std)
