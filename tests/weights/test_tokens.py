"""Tokens are the weights, cut: nothing is lost and nothing is added."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.shared.plain_tokens import plain_tokenize
from sane_core.architectures.registry import architecture_named
from sane_core.weights.layers import largest_row, layers_of, layers_of_architecture, token_count
from sane_core.weights.standardize import measure, standardize
from sane_core.weights.tokens import detokenize, lengths_of, mask_of, positions_of, tokenize

DIGITS_CNN = architecture_named("digits-cnn")
DIGITS_LAYERS = layers_of(DIGITS_CNN.shapes())
SMALL = [
    "cnn",
    "mlp",
    "resnet18[width=4]",
    "resnet50[width=4]",
    "vit[dim=24,depth=2,heads=2,hidden=40]",
]


@st.composite
def networks(draw, dtypes=("float32",)):
    """Draw entries of 0 to 4 axes, empty ones too, some with biases, any values, NaN included."""
    shapes = {}
    for number in range(draw(st.integers(1, 3))):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
        shapes[f"layer{number}.weight"] = shape
        if draw(st.booleans()):
            fits = draw(st.booleans())
            shapes[f"layer{number}.bias"] = shape[:1] if fits else (draw(st.integers(1, 4)),)
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    weights = {name: draw(arrays(dtype, (2, *shape))) for name, shape in shapes.items()}
    return shapes, weights


@settings(max_examples=100, deadline=None)
@given(networks(("float16", "float32", "float64", "int32", "uint8")), st.integers(1, 70))
def test_detokenize_undoes_tokenize_bit_for_bit(network, d_t):
    shapes, weights = network
    layers = layers_of(shapes)
    found = detokenize(tokenize(weights, layers, d_t), layers)
    assert sorted(found) == sorted(shapes)
    for name, values in weights.items():
        assert (found[name].shape, found[name].dtype) == (values.shape, values.dtype)
        assert found[name].tobytes() == values.tobytes()


@settings(max_examples=100, deadline=None)
@given(networks(("float32", "float16")), st.integers(1, 70))
def test_tokens_are_those_of_cutting_row_by_row(network, d_t):
    shapes, weights = network
    layers = layers_of(shapes)
    tokens = tokenize(weights, layers, d_t)
    for i, found in enumerate(tokens):
        one = {name: values[i] for name, values in weights.items()}
        assert found.tobytes() == plain_tokenize(one, layers, d_t).tobytes()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("batch_norm", ["exclude", "affine"])
@pytest.mark.parametrize("d_t", [7, 0])
def test_any_architecture_is_cut_and_put_back(name, batch_norm, d_t):
    architecture = architecture_named(name)
    layers = layers_of_architecture(architecture, batch_norm)
    d_t = d_t or largest_row(layers)
    rng = np.random.default_rng(0)
    weights = {
        entry: rng.standard_normal((2, *shape), np.float32)
        for entry, shape in architecture.shapes().items()
    }
    tokens = tokenize(weights, layers, d_t)
    one = {entry: values[1] for entry, values in weights.items()}
    assert np.array_equal(tokens[1], plain_tokenize(one, layers, d_t))
    for entry, values in detokenize(tokens, layers).items():
        assert np.array_equal(values, weights[entry])


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
    assert not len(lengths) or lengths.min() >= 1


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


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal((3, *shape), np.float32)
        for name, shape in DIGITS_CNN.shapes().items()
    }


def test_memory_that_was_used_before_is_filled_anew(weights):
    used = np.full((3, 48, 73), np.nan, np.float32)
    assert tokenize(weights, DIGITS_LAYERS, 73, out=used) is used
    assert np.array_equal(used, tokenize(weights, DIGITS_LAYERS, 73))
    back = {name: np.full_like(values, np.nan) for name, values in weights.items()}
    found = detokenize(used, DIGITS_LAYERS, out=back)
    assert all(found[name] is back[name] for name in weights)
    assert all(np.array_equal(back[name], values) for name, values in weights.items())


def test_weights_put_back_are_no_views_of_the_tokens(weights):
    tokens = tokenize(weights, DIGITS_LAYERS, 1)
    found = detokenize(tokens, DIGITS_LAYERS)
    assert not any(np.shares_memory(values, tokens) for values in found.values())


@pytest.mark.parametrize("mode", ["per_layer", "minmax", "none"])
def test_standardizing_on_the_way_gives_the_tokens_of_standardized_weights(weights, mode):
    statistics = measure(weights, DIGITS_LAYERS, mode)
    found = tokenize(weights, DIGITS_LAYERS, 20, statistics)
    standardized = standardize(weights, DIGITS_LAYERS, statistics)
    assert np.array_equal(found, tokenize(standardized, DIGITS_LAYERS, 20))
    assert np.array_equal(found, tokenize(weights, DIGITS_LAYERS, 20)) == (mode == "none")


def test_entries_of_several_precisions_become_the_one_that_holds_them_all(weights):
    mixed = weights | {"module_list.0.bias": weights["module_list.0.bias"].astype(np.float16)}
    found = detokenize(tokenize(mixed, DIGITS_LAYERS, 73), DIGITS_LAYERS)
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(found[name], values) for name, values in mixed.items())


def test_a_token_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="d_t must be >= 1, got 0"):
        tokenize({}, DIGITS_LAYERS, 0)


def test_a_missing_entry_is_named(weights):
    del weights["module_list.3.bias"]
    with pytest.raises(ValueError, match=r"must hold entry module_list.3.bias, got \['module"):
        tokenize(weights, DIGITS_LAYERS, 73)


def test_integers_are_cut_as_they_are_and_never_standardized(weights):
    statistics = measure(weights, DIGITS_LAYERS)
    integers = {name: values.astype(np.int32) for name, values in weights.items()}
    assert tokenize(integers, DIGITS_LAYERS, 73).dtype == np.int32
    with pytest.raises(ValueError, match="module_list.0.weight must be of floating point, got int"):
        tokenize(integers, DIGITS_LAYERS, 73, statistics)


def test_tokens_of_another_architecture_are_refused():
    with pytest.raises(ValueError, match=r"shape \[_, 48, 73\], got \[1, 47, 73\]"):
        detokenize(np.zeros((1, 47, 73)), DIGITS_LAYERS)


def test_memory_that_does_not_fit_is_refused(weights):
    assert token_count(DIGITS_LAYERS, 73) == 48
    with pytest.raises(ValueError, match=r"contiguous of shape \[3, 48, 73\], got \[2, 48, 73\]"):
        tokenize(weights, DIGITS_LAYERS, 73, out=np.empty((2, 48, 73), np.float32))
    with pytest.raises(ValueError, match=r"contiguous of shape \[3, 48, 73\], got \[3, 48, 73\]"):
        tokenize(weights, DIGITS_LAYERS, 73, out=np.empty((3, 48, 146), np.float32)[..., ::2])
    with pytest.raises(ValueError, match=r"hold module_list.0.bias contiguous of shape \[3, 8\]"):
        short = weights | {"module_list.0.bias": np.empty((3, 7), np.float32)}
        detokenize(np.zeros((3, 48, 73), np.float32), DIGITS_LAYERS, out=short)
