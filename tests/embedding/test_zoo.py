"""A zoo is embedded checkpoint after checkpoint, into tables that are read back."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.embedding import pooling, token_files, zoo
from sane_core.embedding.embed import encode
from sane_core.embedding.files import read_embeddings
from sane_core.embedding.pooling import pool
from sane_core.embedding.token_files import Latents, LatentsWriter, read_latents
from sane_core.embedding.zoo import embed_zoo, write_embedded_zoo
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.files import TokenSet, read_tokens, write_layers, write_tokens
from sane_core.weights.layers import layers_of
from sane_core.weights.shards import SPLITS
from sane_core.weights.standardize import measure
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.tables import CHECKPOINTS

SHAPES = {"a.weight": (9, 10), "a.bias": (9,), "b.weight": (4, 9)}
LAYERS, D_T, TOKENS = layers_of(SHAPES), 6, 26
CONFIG = EmbedConfig(chunk=8, halo=3, batch=5)


@pytest.fixture
def tokens(tmp_path) -> Path:
    """Three runs of three epochs in the train split, one in each other."""
    rng = np.random.default_rng(0)
    positions, lengths = positions_of(LAYERS, D_T), lengths_of(LAYERS, D_T)
    rows = []
    for split, runs in zip(SPLITS, ([0, 3, 4], [1], [2]), strict=True):
        epochs, run = (axis.ravel() for axis in np.meshgrid([0, 1, 2], runs, indexing="ij"))
        values = rng.standard_normal((len(run), TOKENS, D_T)).astype(np.float32)
        values *= np.arange(D_T) < lengths[:, None]
        part = TokenSet(values, positions, lengths, run, epochs)
        (tmp_path / "tokens" / f"split={split}").mkdir(parents=True)
        write_tokens(tmp_path / "tokens" / f"split={split}" / "part-00000.parquet", part)
        for i, (of, epoch) in enumerate(zip(run.tolist(), epochs.tolist(), strict=True)):
            at = {"first_token": i * TOKENS, "last_token": (i + 1) * TOKENS - 1}
            rows.append({"run": of, "epoch": epoch, "split": split} | at)
    table = pa.Table.from_pylist(rows, schema=CHECKPOINTS)
    pq.write_table(table, tmp_path / "checkpoints.parquet")
    weights = {name: np.zeros((1, *shape), np.float32) for name, shape in SHAPES.items()}
    statistics = measure(weights, LAYERS, "none")
    write_layers(tmp_path / "layers.parquet", "own", LAYERS, D_T, statistics)
    return tmp_path / "tokens"


def autoencoder(d_t: int = D_T, n: int = TOKENS, bottleneck: str = "token"):
    sizes = {"d_model": 16, "heads": 2, "layers": 1, "d_z": 4, "d_projection": 4}
    config = AutoencoderConfig(bottleneck=bottleneck, **sizes)
    return build(AutoencoderShape(d_t, TOKENS, (n, 3, TOKENS)), config, 0).eval()


def test_a_zoo_has_the_latents_of_its_models_pooled(tokens):
    found = embed_zoo(autoencoder(), tokens, (0, 2), CONFIG)
    at = 0
    for split in SPLITS:
        part = read_tokens(tokens, split, (0, 2))
        latents = encode(autoencoder(), part.values, part.positions, part.lengths, CONFIG)
        rows = slice(at, at + len(part))
        assert found.split[rows].tolist() == [split] * len(part)
        np.testing.assert_array_equal(found.runs[rows], part.runs)
        np.testing.assert_array_equal(found.epochs[rows], part.epochs)
        for name, values in pool("sane", latents, part.positions[:, 1]).items():
            np.testing.assert_allclose(found.vectors[name][rows], values, atol=2e-6)
        at += len(part)
    assert at == len(found.runs)


def test_what_is_written_a_few_checkpoints_at_a_time_is_what_is_returned(
    tokens, tmp_path, monkeypatch
):
    whole = embed_zoo(autoencoder(), tokens, (0, 1, 2), CONFIG)
    monkeypatch.setattr(zoo, "POOLED", 1)
    count, missing = write_embedded_zoo(tmp_path, autoencoder(), tokens, (0, 1, 2), CONFIG)
    assert (count, missing) == (15, {})
    assert pq.read_metadata(tmp_path / "embeddings.parquet").num_row_groups == 15
    assert not (tmp_path / "latents.parquet").exists()
    read = read_embeddings(tmp_path / "embeddings.parquet")
    assert read.vectors.keys() == whole.vectors.keys()
    for name, values in whole.vectors.items():
        np.testing.assert_array_equal(read.vectors[name], values)
    np.testing.assert_array_equal(read.runs, whole.runs)


def test_equal_embedding_gives_equal_files(tokens, tmp_path):
    config = CONFIG.model_copy(update={"tokens": True})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_embedded_zoo(tmp_path / name, autoencoder(), tokens, (0, 1), config)
    for file in ("embeddings.parquet", "latents.parquet"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two


def test_an_embedding_that_is_not_available_is_left_out_and_said(tokens, tmp_path, monkeypatch):
    monkeypatch.setattr("sane_core.embedding.pooling.LARGEST_FULL", 4 * TOKENS - 1)
    _, missing = write_embedded_zoo(tmp_path, autoencoder(), tokens, (0,), CONFIG)
    assert list(missing) == ["sane_full"]
    assert missing["sane_full"].startswith(f"not available: {TOKENS} tokens of 4 latents")
    assert "sane_full" not in read_embeddings(tmp_path / "embeddings.parquet").vectors


def test_latents_of_tokens_are_written_on_demand(tokens, tmp_path):
    config = CONFIG.model_copy(update={"tokens": True, "poolings": ("full",)})
    write_embedded_zoo(tmp_path, autoencoder(), tokens, (0, 1), config)
    pooled = read_embeddings(tmp_path / "embeddings.parquet")
    read = list(read_latents(tmp_path / "latents.parquet"))
    assert [int(each.runs[0]) for each in read] == pooled.runs.tolist()
    for each, full in zip(read, pooled.vectors["sane_full"], strict=True):
        np.testing.assert_array_equal(each.values.reshape(-1), full)
        np.testing.assert_array_equal(each.positions, positions_of(LAYERS, D_T))
    table = pl.read_parquet(tmp_path / "latents.parquet")
    assert table.columns == ["run", "epoch", "n", "l", "k", "latents"]
    (later,) = {int(each.epochs[0]) for each in read_latents(tmp_path / "latents.parquet", [1])}
    assert later == 1


def test_latents_over_several_row_groups_are_put_together(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "LARGEST_GROUP", 4 * 4 * 10)
    positions = positions_of(LAYERS, D_T)
    values = np.random.default_rng(0).standard_normal((3, TOKENS, 4)).astype(np.float32)
    with LatentsWriter(tmp_path / "l.parquet") as writer:
        for i in range(3):
            some = Latents(values[i : i + 1], positions, np.array([i]), np.array([5]))
            writer.add(some)
    assert pq.read_metadata(tmp_path / "l.parquet").num_row_groups == 9
    for each, expected in zip(read_latents(tmp_path / "l.parquet"), values, strict=True):
        np.testing.assert_array_equal(each.values[0], expected)


def test_row_groups_hold_whole_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "LARGEST_GROUP", 4 * 4 * (2 * TOKENS + 3))
    values, ids = np.zeros((5, TOKENS, 4), np.float32), np.arange(5)
    with LatentsWriter(tmp_path / "l.parquet") as writer:
        writer.add(Latents(values, positions_of(LAYERS, D_T), ids, ids))
    metadata = pq.read_metadata(tmp_path / "l.parquet")
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert rows == [2 * TOKENS, 2 * TOKENS, TOKENS]


def test_networks_that_are_too_long_for_every_pooling_asked_for_are_refused(
    tokens, tmp_path, monkeypatch
):
    monkeypatch.setattr(pooling, "LARGEST_FULL", 4 * TOKENS - 1)
    config = CONFIG.model_copy(update={"poolings": ("full",)})
    with pytest.raises(ValueError, match=r"embed.poolings must leave .* 26 tokens .*; add mean"):
        write_embedded_zoo(tmp_path, autoencoder(), tokens, (0,), config)
    assert not (tmp_path / "embeddings.parquet").exists()
    added = config.model_copy(update={"poolings": ("mean", "full")})
    _, missing = write_embedded_zoo(tmp_path, autoencoder(), tokens, (0,), added)
    assert missing.keys() == {"sane_full"}
    assert read_embeddings(tmp_path / "embeddings.parquet").vectors.keys() == {"sane_mean"}


def test_views_of_networks_whose_symmetries_are_not_known_are_refused(tokens):
    with pytest.raises(ValueError, match="embed.views must be 1 for networks without known"):
        embed_zoo(autoencoder(), tokens, (0,), CONFIG.model_copy(update={"views": 2}))


def test_tokens_of_one_latent_per_model_are_refused(tokens, tmp_path):
    config = CONFIG.model_copy(update={"chunk": TOKENS, "tokens": True})
    with pytest.raises(ValueError, match=r"one per token, got 1 .* set embed.tokens: false"):
        write_embedded_zoo(tmp_path, autoencoder(bottleneck="model"), tokens, (0,), config)


def test_an_autoencoder_for_another_token_size_is_refused(tokens):
    with pytest.raises(ValueError, match=r"run 0 at epoch 0 must have d_t = 7, .* got 6"):
        embed_zoo(autoencoder(d_t=7), tokens, (0,), CONFIG)


def test_an_autoencoder_that_never_saw_such_layers_is_refused(tokens):
    with pytest.raises(ValueError, match=f"position n must be < {TOKENS - 1}"):
        embed_zoo(autoencoder(n=TOKENS - 1), tokens, (0,), CONFIG)


def test_epochs_that_a_split_lacks_are_refused(tokens):
    with pytest.raises(ValueError, match="split train must hold checkpoints of epochs 7, got none"):
        embed_zoo(autoencoder(), tokens, (7,), CONFIG)


def test_a_checkpoint_that_is_not_finite_is_named(tokens):
    path = tokens / "split=test" / "part-00000.parquet"
    part = read_tokens(tokens, "test")
    part.values[1, 4, 2] = np.nan
    write_tokens(path, part)
    with pytest.raises(ValueError, match="run 2 at epoch 1 must have finite weights, got nan in"):
        embed_zoo(autoencoder(), tokens, (0, 1), CONFIG)
