"""The autoencoder: shapes, padding, positions, initial weights, one latent for all, compilation."""

import pytest
import torch

from sane_core.pretraining.autoencoder import (
    AutoencoderShape,
    attend,
    build,
    visible_keys,
)
from schemas.config.pretrain import AutoencoderConfig

CONFIG = AutoencoderConfig(d_model=16, heads=2, layers=2, d_z=5, d_projection=4)
SHAPE = AutoencoderShape(d_t=7, window=6, positions=(12, 3, 6))
WHOLE = CONFIG.model_copy(update={"bottleneck": "model"})
SINES = CONFIG.model_copy(update={"positions": "sinusoidal"})


@pytest.fixture
def model():
    return build(SHAPE, CONFIG, seed=0).eval()


def window(length: int, batch: int = 2):
    generator = torch.Generator().manual_seed(length)
    tokens = torch.randn(batch, length, 7, generator=generator)
    n = torch.arange(length)
    positions = torch.stack([n, n // 6, n % 6], dim=1).expand(batch, -1, -1)
    return tokens, positions, torch.full((batch, length), 7)


@pytest.mark.parametrize("length", [1, 6, 12])
def test_windows_of_any_length_are_encoded_and_decoded(model, length):
    tokens, positions, lengths = window(length)
    latents = model.encode(tokens, positions, lengths)
    assert latents.shape == (2, length, 5)
    assert model.decode(latents, positions, lengths).shape == tokens.shape


def test_padding_tokens_do_not_change_the_latents_of_real_ones(model):
    tokens, positions, lengths = window(6)
    alone = model.encode(tokens[:, :4], positions[:, :4], lengths[:, :4])
    lengths = lengths.clone()
    lengths[:, 4:] = 0
    padded = model.encode(tokens, positions, lengths)
    assert torch.allclose(padded[:, :4], alone, atol=1e-6)


def test_real_tokens_do_change_the_latents_of_others(model):
    tokens, positions, lengths = window(6)
    alone = model.encode(tokens[:, :4], positions[:, :4], lengths[:, :4])
    together = model.encode(tokens, positions, lengths)
    assert not torch.allclose(together[:, :4], alone, atol=1e-6)


def test_a_position_beyond_the_table_is_refused_by_name(model):
    tokens, positions, lengths = window(6)
    positions = positions.clone()
    positions[0, 0, 1] = 3
    with pytest.raises(ValueError, match=r"position l must be < 3 .*, got 3"):
        model.encode(tokens, positions, lengths)
    with pytest.raises(ValueError, match=r"position l must be < 3 .*, got 3"):
        model.decode(torch.zeros(2, 6, 5), positions, lengths)
    with pytest.raises(ValueError, match=r"position l must be < 3 .*, got 3"):
        model.check_positions(positions.numpy())


def test_sines_take_networks_longer_than_those_of_training():
    model = build(SHAPE, SINES, 0).eval()
    tokens, positions, lengths = window(40)
    assert model.encode(tokens, positions, lengths).isfinite().all()


def test_the_order_of_positions_matters(model):
    tokens, positions, lengths = window(6)
    swapped = model.encode(tokens, positions.flip(1), lengths)
    assert not torch.allclose(swapped, model.encode(tokens, positions, lengths), atol=1e-4)


def test_written_out_attention_equals_the_fused_kernel():
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 9, 8, generator=generator)
    visible = torch.tensor([True] * 6 + [False] * 3).expand(2, 1, 1, 9)
    fused = attend(q, k, v, visible)
    written = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), visible)
    assert torch.allclose(written.float(), fused, atol=0.03)


def test_the_seed_alone_decides_the_initial_weights():
    first, again, other = build(SHAPE, CONFIG, 1), build(SHAPE, CONFIG, 1), build(SHAPE, CONFIG, 2)
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(first.tokens_in.weight, other.tokens_in.weight)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build(SHAPE, CONFIG, 1)
    assert torch.equal(torch.rand(1), expected)


def padded_window():
    tokens, positions, lengths = window(6)
    lengths = lengths.clone()
    lengths[0, 4:] = 0
    return tokens, positions, lengths


def test_a_training_pass_is_encode_decode_and_project(model):
    tokens, positions, lengths = padded_window()
    passed = model(tokens, positions, visible_keys(lengths))
    latents = model.encode(tokens, positions, lengths)
    assert torch.equal(passed.latents, latents)
    assert torch.equal(passed.decoded, model.decode(latents, positions, lengths))
    assert torch.equal(passed.projected, model.projection(latents))


def test_a_mask_that_hides_nothing_is_no_mask(model):
    tokens, positions, lengths = window(6)
    assert visible_keys(lengths) is None
    everything = torch.ones(2, 1, 1, 6, dtype=torch.bool)
    masked = model.encode_checked(tokens, positions, everything)
    assert torch.allclose(masked, model.encode(tokens, positions, lengths), atol=1e-6)


def test_one_latent_for_all_holds_the_whole_sequence():
    model = build(SHAPE, WHOLE, 0).eval()
    tokens, positions, lengths = window(6)
    latents = model.encode(tokens, positions, lengths)
    assert latents.shape == (2, 1, 5)
    assert model.decode(latents, positions, lengths).shape == tokens.shape
    assert model.projection(latents).shape == (2, 4)
    for n in range(6):
        changed = tokens.clone()
        changed[:, n] += 1
        assert not torch.allclose(model.encode(changed, positions, lengths), latents, atol=1e-6)


def test_one_latent_for_all_does_not_know_what_stands_in_padding_tokens():
    model = build(SHAPE, WHOLE, 0).eval()
    tokens, positions, lengths = padded_window()
    changed, elsewhere = tokens.clone(), positions.clone()
    changed[0, 4:] += 1
    elsewhere[0, 4:] = 0
    latents = model.encode(tokens, positions, lengths)
    assert torch.allclose(model.encode(changed, elsewhere, lengths), latents, atol=1e-7)


@pytest.mark.parametrize("length", [5, 7])
def test_one_latent_for_all_refuses_other_lengths(length):
    model = build(SHAPE, WHOLE, 0).eval()
    tokens, positions, lengths = window(length)
    with pytest.raises(ValueError, match=rf"must have 6 tokens.*bottleneck: model.*got {length}"):
        model.encode(tokens, positions, lengths)
    with pytest.raises(ValueError, match=rf"must have 6 tokens.*bottleneck: model.*got {length}"):
        model.decode(torch.zeros(2, 1, 5), positions, lengths)


def test_the_bottleneck_for_all_starts_as_the_other_weights_do():
    shape = AutoencoderShape(d_t=7, window=60, positions=(60, 3, 60))
    model = build(shape, WHOLE, 0)
    for layer in (model.latents_out, model.latents_in):
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        assert not layer.bias.any()


@pytest.mark.parametrize("config", [CONFIG, WHOLE, SINES])
@pytest.mark.parametrize("cut", [window, padded_window])
def test_a_training_pass_looks_at_no_value(config, cut):
    tokens, positions, lengths = cut(6) if cut is window else cut()
    visible = visible_keys(lengths)
    inputs = (tokens, positions, visible)
    nowhere = [None if each is None else each.to("meta") for each in inputs]
    passed = build(SHAPE, config, 0).to("meta")(*nowhere)
    assert passed.decoded.shape == tokens.shape
