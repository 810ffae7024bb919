"""Embedding: halo, stitching, pooling, files."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sane_core.embedding.embed import encode
from sane_core.embedding.files import Embeddings, read_embeddings, write_embeddings
from sane_core.embedding.halo import split_with_halo, stitch
from sane_core.embedding.pooling import pool
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 50))
def test_stitching_undoes_splitting_for_every_length(tokens, chunk, halo):
    sequence = torch.arange(tokens, dtype=torch.float32)[None, :, None]
    chunks = split_with_halo(tokens, chunk, halo)
    assert torch.equal(stitch(chunks, [sequence[:, c.low : c.high] for c in chunks]), sequence)


def test_a_negative_halo_is_refused():
    with pytest.raises(ValueError, match="halo must be >= 0, got -1"):
        split_with_halo(5, 2, -1)


def model_and_tokens(length: int = 11):
    model = build(
        AutoencoderShape(6, 5, (length, 2, length)),
        AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=4, d_projection=4),
        0,
    ).eval()
    tokens = np.random.default_rng(0).standard_normal((3, length, 6)).astype(np.float32)
    n = np.arange(length)
    return model, tokens, np.stack([n, n // 6, n % 6], axis=1), np.full(length, 6)


def test_chunks_whose_halo_covers_the_model_equal_the_full_pass():
    inputs = model_and_tokens()
    full = encode(*inputs, EmbedConfig(chunk=11, halo=0, batch=2))
    chunked = encode(*inputs, EmbedConfig(chunk=4, halo=11, batch=3))
    np.testing.assert_allclose(chunked, full, atol=1e-6)


def test_chunks_without_halo_miss_their_context():
    inputs = model_and_tokens()
    full = encode(*inputs, EmbedConfig(chunk=11, halo=0))
    assert not np.allclose(encode(*inputs, EmbedConfig(chunk=4, halo=0)), full, atol=1e-4)


def test_pooling_gives_the_mean_and_the_layers_moments():
    latents = np.arange(24, dtype=np.float32).reshape(1, 6, 4)
    layer = np.array([0, 0, 0, 0, 1, 1])
    pooled = pool("sane", latents, layer)
    np.testing.assert_allclose(pooled["sane_mean"], latents.mean(1))
    np.testing.assert_allclose(pooled["sane_layers"][0, :4], latents[0, :4].mean(0))
    np.testing.assert_allclose(pooled["sane_layers"][0, 12:], latents[0, 4:].std(0))


def test_embeddings_come_back_from_the_file(tmp_path):
    rng = np.random.default_rng(0)
    vectors = {"a": rng.random((3, 2), np.float32), "b": rng.random((3, 5), np.float32)}
    written = Embeddings(vectors, np.array([1, 1, 2]), np.array([0, 5, 0]), np.array(["train"] * 3))
    write_embeddings(tmp_path / "e.parquet", written)
    read = read_embeddings(tmp_path / "e.parquet")
    for name, values in vectors.items():
        np.testing.assert_array_equal(read.vectors[name], values)
    np.testing.assert_array_equal(read.runs, written.runs)
    assert read.split.tolist() == ["train"] * 3
