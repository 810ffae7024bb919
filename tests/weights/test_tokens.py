"""Tokens are the weights, cut: nothing is lost and nothing is added."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sane_core.architectures.registry import architecture_named
from sane_core.weights.layers import largest_row, layers_of
from sane_core.weights.tokens import detokenize, lengths_of, mask_of, positions_of, tokenize

DIGITS_CNN = architecture_named("digits-cnn")
DIGITS_LAYERS = layers_of(DIGITS_CNN.shapes())


@st.composite
def networks(draw):
    """Draw entries with shapes, biases in some layers, and any float32, NaN included."""
    shapes = {}
    for number in range(draw(st.integers(1, 3))):
        shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=4)))
        shapes[f"layer{number}.weight"] = shape
        if draw(st.booleans()):
            shapes[f"layer{number}.bias"] = shape[:1]
    floats = st.floats(width=32)
    weights = {
        name: draw(arrays(np.float32, (2, *shape), elements=floats))
        for name, shape in shapes.items()
    }
    return shapes, weights


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(1, 70))
def test_detokenize_undoes_tokenize_bit_for_bit(network, d_t):
    shapes, weights = network
    layers = layers_of(shapes)
    found = detokenize(tokenize(weights, layers, d_t), layers)
    assert list(found) == list(shapes)
    for name, values in weights.items():
        assert found[name].shape == values.shape
        assert found[name].tobytes() == values.tobytes()


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(1, 70))
def test_lengths_count_the_real_weights_and_the_rest_is_zero(network, d_t):
    shapes, _ = network
    layers = layers_of(shapes)
    ones = {name: np.ones((1, *shape), np.float32) for name, shape in shapes.items()}
    tokens = tokenize(ones, layers, d_t)[0]
    lengths = lengths_of(layers, d_t)
    assert np.array_equal(tokens, mask_of(lengths, d_t))
    assert np.array_equal(tokens.sum(1), lengths)
    assert lengths.sum() == sum(np.prod(shape) for shape in shapes.values())


@pytest.mark.parametrize("d_t", [9, 10, 73, 100])
def test_a_token_holds_one_output_channel_with_its_bias_last(d_t):
    weights = {
        name: np.random.default_rng(0).random((1, *shape), np.float32)
        for name, shape in DIGITS_CNN.shapes().items()
    }
    tokens = tokenize(weights, DIGITS_LAYERS, d_t)[0]
    row = np.append(weights["module_list.0.weight"][0, 2], weights["module_list.0.bias"][0, 2])
    start = 2 * DIGITS_LAYERS[0].chunks(d_t)
    found = tokens[start : start + DIGITS_LAYERS[0].chunks(d_t)].ravel()
    assert np.array_equal(found[: len(row)], row)
    assert not found[len(row) :].any()


def test_positions_count_the_token_the_layer_and_the_token_within_the_layer():
    positions = positions_of(DIGITS_LAYERS, largest_row(DIGITS_LAYERS))
    assert np.array_equal(positions[:, 0], np.arange(48))
    assert np.bincount(positions[:, 1]).tolist() == [8, 6, 4, 20, 10]
    for l, count in enumerate([8, 6, 4, 20, 10]):
        assert np.array_equal(positions[positions[:, 1] == l, 2], np.arange(count))


def test_a_token_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="d_t must be >= 1, got 0"):
        tokenize({}, DIGITS_LAYERS, 0)


def test_tokens_of_another_architecture_are_refused():
    with pytest.raises(ValueError, match=r"shape \[_, 48, 73\], got \[1, 47, 73\]"):
        detokenize(np.zeros((1, 47, 73)), DIGITS_LAYERS)


def test_an_entry_that_belongs_to_no_layer_is_refused():
    with pytest.raises(ValueError, match=r"belong to a layer of >= 2 axes, got \['norm.weight'\]"):
        layers_of({"a.weight": (2, 2), "norm.weight": (2,)})
