"""Models of unequal length are passed together as if each were on its own."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sane_core.embedding import packing
from sane_core.embedding.embed import decode, decode_each, encode, encode_each
from sane_core.embedding.packing import Sequence, packed
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import AutoencoderConfig

D_T, D_Z = 6, 4
SMALL = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=D_Z, d_projection=4)
MODEL = build(AutoencoderShape(D_T, 5, (60, 8, 60)), SMALL, 0).eval()
CPU = torch.device("cpu")


def network(tokens: int, seed: int = 0) -> Sequence:
    rng = np.random.default_rng([seed, tokens])
    n = np.arange(tokens)
    positions = np.stack([n, n // 8, n % 8], axis=1)
    lengths = rng.integers(1, D_T + 1, tokens)
    values = rng.standard_normal((tokens, D_T)).astype(np.float32)
    return Sequence(values, positions, lengths, f"network {seed}")


def alone(each: Sequence, config: EmbedConfig) -> np.ndarray:
    return encode(MODEL, each.values[None], each.positions, each.lengths, config)[0]


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=7)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 25), st.integers(0, 12), st.integers(1, 9), st.integers(1, 80))
@example([1], 4, 2, 3, 80)  # one token
@example([9, 17], 8, 4, 2, 80)  # a last chunk shorter than the halo
@example([7, 1, 60], 5, 3, 4, 10)  # shorter than a chunk with both halos
def test_together_equals_each_alone(tokens, chunk, halo, batch, largest):
    config = EmbedConfig(chunk=chunk, halo=halo, batch=batch)
    networks = [network(count, seed) for seed, count in enumerate(tokens)]
    together = list(packed(MODEL.encode, networks, config, CPU, largest))
    assert [len(each) for each in together] == tokens
    for each, latents in zip(networks, together, strict=True):
        np.testing.assert_allclose(latents, alone(each, config), atol=2e-6)


@settings(max_examples=30, deadline=None)
@given(LENGTHS, st.integers(0, 12))
def test_a_chunk_that_covers_everything_equals_the_full_pass(tokens, halo):
    networks = [network(count, seed) for seed, count in enumerate(tokens)]
    config = EmbedConfig(chunk=max(tokens), halo=halo, batch=3)
    for each, latents in zip(networks, encode_each(MODEL, networks, config), strict=True):
        place = (torch.from_numpy(each.positions)[None], torch.from_numpy(each.lengths)[None])
        full = MODEL.encode(torch.from_numpy(each.values)[None], *place)[0].detach().numpy()
        np.testing.assert_allclose(latents, full, atol=2e-6)


def test_padding_that_is_not_masked_changes_latents(monkeypatch):
    networks, config = [network(9, 1), network(10, 2)], EmbedConfig(chunk=20, halo=0)

    def unmasked(values, positions, lengths):
        return MODEL.encode(values, positions, torch.ones_like(lengths))

    (first, _) = packed(unmasked, networks, config, CPU)
    assert not np.allclose(first, alone(networks[0], config), atol=1e-4)


@given(LENGTHS, st.integers(1, 25), st.integers(0, 12), st.integers(1, 9), st.integers(1, 80))
def test_what_is_passed_unchanged_comes_back(tokens, chunk, halo, batch, largest):
    networks = [network(count, seed) for seed, count in enumerate(tokens)]
    config = EmbedConfig(chunk=chunk, halo=halo, batch=batch)
    back = list(packed(lambda values, *_: values, networks, config, CPU, largest))
    for each, values in zip(networks, back, strict=True):
        np.testing.assert_array_equal(values, each.values)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 200))
def test_passes_are_filled_and_bounded(tokens, batch, largest):
    networks = [network(count, seed) for seed, count in enumerate(tokens)]
    passes = []

    def step(values, positions, lengths):
        passes.append((values.shape[:2], (lengths > 0).expand(values.shape[:2]).numpy()))
        return values

    list(packed(step, networks, EmbedConfig(chunk=20, halo=5, batch=batch), CPU, largest))
    for (rows, width), real in passes:
        assert rows <= batch
        assert rows == 1 or rows * width <= largest
        assert real.sum(1).min() >= packing.FILLED * width


def test_networks_of_one_architecture_share_one_position_embedding():
    shapes = []

    def step(values, positions, lengths):
        shapes.append((len(values), len(positions), len(lengths)))
        return values

    first = network(7)
    alike = [first._replace(values=first.values + i) for i in range(4)]
    list(packed(step, alike, EmbedConfig(), CPU))
    list(packed(step, [first, network(7, 1)], EmbedConfig(), CPU))
    assert shapes == [(4, 1, 1), (2, 2, 2)]


def test_networks_are_taken_one_after_another():
    taken = []

    def endless():
        for seed in range(10**9):
            taken.append(seed)
            yield network(12, seed)

    some = list(islice(packed(lambda values, *_: values, endless(), EmbedConfig(batch=4), CPU), 6))
    assert len(some) == 6
    assert len(taken) == 8


def test_memory_that_the_next_network_overwrites_is_read_before():
    networks = [network(9, seed) for seed in range(5)]

    def overwritten():
        values = np.empty((9, D_T), np.float32)
        for each in networks:
            values[:] = each.values
            yield each._replace(values=values)

    config = EmbedConfig(chunk=4, halo=2, batch=7)
    for one, other in zip(
        encode_each(MODEL, overwritten(), config), encode_each(MODEL, networks, config), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("chunk", [3, 64])
def test_latents_of_unequal_lengths_are_decoded_as_each_alone(chunk):
    networks = [network(count, count) for count in (1, 9, 30)]
    config = EmbedConfig(chunk=chunk, halo=2, batch=4)
    given_ = [
        each._replace(values=latents)
        for each, latents in zip(networks, encode_each(MODEL, networks, config), strict=True)
    ]
    for each, tokens in zip(given_, decode_each(MODEL, given_, config), strict=True):
        own = decode(MODEL, each.values[None], each.positions, each.lengths, config)[0]
        np.testing.assert_allclose(tokens, own, atol=2e-6)


def test_one_latent_per_model_for_unequal_lengths():
    config = SMALL.model_copy(update={"bottleneck": "model"})
    model = build(AutoencoderShape(D_T, 12, (60, 8, 60)), config, 0).eval()
    networks = [network(count, count) for count in (1, 12, 7)]
    sizes = EmbedConfig(chunk=12, batch=2)
    latents = list(encode_each(model, networks, sizes))
    for each, latent in zip(networks, latents, strict=True):
        own = encode(model, each.values[None], each.positions, each.lengths, sizes)[0]
        np.testing.assert_allclose(latent, own, atol=2e-6)
    given_ = (each._replace(values=z) for each, z in zip(networks, latents, strict=True))
    assert [len(each) for each in decode_each(model, given_, sizes)] == [1, 12, 7]


def test_a_network_without_tokens_is_refused():
    empty = Sequence(*(np.zeros((0, k)) for k in (D_T, 3)), np.zeros(0, int), "a.pt")
    with pytest.raises(ValueError, match="a.pt must have at least one token, got none"):
        list(encode_each(MODEL, [network(3), empty], EmbedConfig()))


def test_no_networks_are_refused_where_one_array_is_returned():
    none = np.zeros((0, 9, D_T), np.float32)
    each = network(9)
    with pytest.raises(ValueError, match="at least one model to pass, got none"):
        encode(MODEL, none, each.positions, each.lengths, EmbedConfig())
    assert list(encode_each(MODEL, [], EmbedConfig())) == []


def test_tokens_of_another_size_are_refused():
    each = network(9)
    wide = each._replace(values=np.zeros((9, 8), np.float32))
    with pytest.raises(
        ValueError, match=r"network 0 must have d_t = 6, .* got 8; .*one preprocess.d_t"
    ):
        list(encode_each(MODEL, [wide], EmbedConfig()))
    with pytest.raises(ValueError, match="network 0 must have d_z = 4"):
        list(decode_each(MODEL, [each], EmbedConfig()))


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_not_finite_are_named(value):
    each = network(20)
    each.values[9, 2] = value
    said = rf"network 0 must have finite weights, got {value} in token 9 \(layer 1\)"
    with pytest.raises(ValueError, match=said):
        list(encode_each(MODEL, [each], EmbedConfig(chunk=4)))
    latents = each._replace(values=each.values[:, :D_Z])
    with pytest.raises(ValueError, match="network 0 must have finite latents"):
        list(decode_each(MODEL, [latents], EmbedConfig(chunk=4)))


def test_layers_that_the_autoencoder_never_saw_are_refused():
    with pytest.raises(ValueError, match=r"position n must be < 60 .*got 6\d"):
        list(encode_each(MODEL, [network(64)], EmbedConfig()))
