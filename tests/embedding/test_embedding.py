"""Embedding: halo, stitching, pooling, files."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import decode, encode, reconstruct, whole_models
from sane_core.embedding.files import Embeddings, read_embeddings, write_embeddings
from sane_core.embedding.halo import split_with_halo, stitch
from sane_core.embedding.pooling import pool
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from schemas.config.embed import POOLINGS, EmbedConfig
from schemas.config.pretrain import AutoencoderConfig


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 50))
def test_stitching_undoes_splitting_for_every_length(tokens, chunk, halo):
    sequence = torch.arange(tokens, dtype=torch.float32)[None, :, None]
    chunks = split_with_halo(tokens, chunk, halo)
    assert torch.equal(stitch(chunks, [sequence[:, c.low : c.high] for c in chunks]), sequence)


def test_a_negative_halo_is_refused():
    with pytest.raises(ValueError, match="halo must be >= 0, got -1"):
        split_with_halo(5, 2, -1)


def model_and_tokens(length: int = 11, window: int = 5, bottleneck: str = "token"):
    model = build(
        AutoencoderShape(6, window, (length, 2, length)),
        AutoencoderConfig(
            d_model=16, heads=2, layers=1, d_z=4, d_projection=4, bottleneck=bottleneck
        ),
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


class Elsewhere:
    """Stands for an autoencoder on another device, which takes nothing that is not there."""

    config = AutoencoderConfig(d_z=4)
    shape = AutoencoderShape(6, 5, (11, 2, 6))

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    def to(self, device: str) -> "Elsewhere":
        self.device = torch.device(device)
        return self

    def parameters(self):
        yield torch.empty(1, device=self.device)

    def encode(self, tokens, *place):
        assert tokens.device.type == self.device.type
        return self.decode(tokens, *place)

    def decode(self, tokens, *place):
        assert {each.device.type for each in place} == {self.device.type}
        return torch.ones(*tokens.shape[:2], 4)  # what is on "meta" has no values


def test_an_autoencoder_gets_its_windows_where_it_is():
    elsewhere = Elsewhere().to("meta")
    _, tokens, *place = model_and_tokens()
    config = EmbedConfig(chunk=4, halo=2, batch=2)
    assert encode(elsewhere, tokens, *place, config).shape == (3, 11, 4)
    assert decode(elsewhere, tokens[..., :4], *place, config).shape == (3, 11, 4)
    windows = (torch.from_numpy(np.stack([each] * 3)) for each in place)
    assert reconstruct(elsewhere, torch.from_numpy(tokens), *windows).device.type == "cpu"


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_an_autoencoder_runs_on_a_gpu_where_there_is_one(monkeypatch, there, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert on_gpu(Elsewhere()).device.type == device


@pytest.mark.parametrize("window", [11, 14])
def test_one_latent_per_model_comes_and_goes_whole(window):
    model, tokens, *place = model_and_tokens(window=window, bottleneck="model")
    latents = encode(model, tokens, *place, EmbedConfig(chunk=11, batch=2))
    assert latents.shape == (3, 1, 4)
    decoded = decode(model, latents, *place, whole_models(EmbedConfig(batch=2)))
    assert decoded.shape == tokens.shape
    many = (torch.from_numpy(each).expand(3, *each.shape) for each in place)
    np.testing.assert_allclose(
        reconstruct(model, torch.from_numpy(tokens), *many).numpy(), decoded, atol=1e-6
    )


def test_one_latent_does_not_see_how_the_padding_is_placed():
    model, tokens, positions, lengths = model_and_tokens(window=14, bottleneck="model")
    latents = encode(model, tokens, positions, lengths, EmbedConfig())
    padded = [np.pad(each, ((0, 3), (0, 0)), constant_values=7) for each in tokens]
    places = np.pad(positions, ((0, 3), (0, 0)), constant_values=1)
    by_hand = encode(model, np.stack(padded), places, np.pad(lengths, (0, 3)), EmbedConfig())
    np.testing.assert_allclose(by_hand, latents, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "chunk", "message"),
    [
        (11, 10, r"a chunk must hold the whole model .* chunk must be >= 11, got 10"),
        (9, 256, r"a model must have at most 9 tokens, as in pretraining, .* got 11"),
    ],
)
def test_one_latent_per_model_refuses_parts_of_models(window, chunk, message):
    model, *inputs = model_and_tokens(window=window, bottleneck="model")
    with pytest.raises(ValueError, match=message):
        encode(model, *inputs, EmbedConfig(chunk=chunk))
    with pytest.raises(ValueError, match=message):
        decode(model, np.zeros((3, 1, 4), np.float32), *inputs[1:], EmbedConfig(chunk=chunk))


def test_one_latent_per_model_is_not_pooled():
    latents = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    pooled = pool("sane", latents, np.array([0, 0, 1]))
    assert list(pooled) == ["sane_global"]
    np.testing.assert_array_equal(pooled["sane_global"], latents[:, 0])
    every = [f"sane_{pooling}" for pooling in POOLINGS]
    assert list(pool("sane", latents, np.array([0]))) == every
    with pytest.raises(ValueError, match=r"one per token \(3\) or one per model, got 2"):
        pool("sane", latents.reshape(3, 2, 2), np.array([0, 0, 1]))


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
