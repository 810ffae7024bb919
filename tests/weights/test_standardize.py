"""One offset and one scale per layer, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sane_core.weights.layers import layers_of
from sane_core.weights.standardize import (
    Moments,
    Statistics,
    identity,
    measure,
    moments_of,
    standardize,
    statistics_of,
    unstandardize,
)

SHAPES = {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 4), "norm.weight": (5,)}
LAYERS = layers_of(SHAPES)
MODES = ["per_layer", "minmax", "none"]
RUNS, EPOCHS = np.repeat(np.arange(10), 2), np.tile([0, 5], 10)


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    """Runs 0 to 9 at epochs 0 and 5."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(3 * name.startswith("b"), 0.1, (20, *shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def dealt_out(weights, parts) -> list[Moments]:
    """Measure these rows together."""
    return [
        moments_of({n: v[rows] for n, v in weights.items()}, LAYERS, RUNS[rows], EPOCHS[rows])
        for rows in parts
    ]


def equal(one: Statistics, other: Statistics) -> bool:
    names = ("mean", "std", "minimum", "maximum", "offset", "scale", "variance")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


def test_standardized_layers_have_mean_0_and_std_1_with_the_bias_pooled_in(weights):
    found = standardize(weights, LAYERS, measure(weights, LAYERS))
    first = np.concatenate([found["a.weight"].ravel(), found["a.bias"].ravel()])
    for pooled in (first, found["b.weight"], found["norm.weight"]):
        assert pooled.mean() == pytest.approx(0, abs=1e-4)
        assert pooled.std() == pytest.approx(1, abs=1e-4)
    assert abs(found["a.bias"].mean()) > 1e-3  # not on its own


def test_minmax_fills_the_range_from_minus_1_to_1(weights):
    found = standardize(weights, LAYERS, measure(weights, LAYERS, "minmax"))
    for layer in LAYERS:
        pooled = np.concatenate([found[name].ravel() for name in layer.entries])
        assert (pooled.min(), pooled.max()) == pytest.approx((-1, 1), abs=1e-6)


def test_none_leaves_weights_as_they_are_and_still_measures_them(weights):
    statistics = measure(weights, LAYERS, "none")
    found = standardize(weights, LAYERS, statistics)
    assert all(np.array_equal(found[name], values) for name, values in weights.items())
    assert statistics.mean == pytest.approx([0, 3, 0], abs=0.05)
    assert statistics.std == pytest.approx([0.1, 0.1, 0.1], abs=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_the_variance_is_that_of_the_standardized_weights(weights, mode):
    statistics = measure(weights, LAYERS, mode)
    found = standardize(weights, LAYERS, statistics)
    for l, layer in enumerate(LAYERS):
        pooled = np.concatenate([found[name].ravel() for name in layer.entries])
        assert statistics.variance[l] == pytest.approx(pooled.var(dtype=np.float64), rel=1e-5)


def test_statistics_are_those_of_all_weights_at_once(weights):
    statistics = measure(weights, LAYERS)
    for l, layer in enumerate(LAYERS):
        pooled = np.concatenate([weights[name].ravel() for name in layer.entries]).astype(float)
        assert statistics.mean[l] == pytest.approx(pooled.mean(), rel=1e-13, abs=1e-15)
        assert statistics.std[l] == pytest.approx(pooled.std(), rel=1e-13)
        assert (statistics.minimum[l], statistics.maximum[l]) == (pooled.min(), pooled.max())


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(20)), st.sets(st.integers(1, 19)))
def test_statistics_do_not_depend_on_how_checkpoints_are_dealt_out(order, cuts):
    rng = np.random.default_rng(1)
    weights = {n: rng.standard_normal((20, *s), np.float32) for n, s in SHAPES.items()}
    together = statistics_of(dealt_out(weights, [np.arange(20)]), LAYERS)
    parts = np.split(np.array(order), sorted(cuts))
    assert equal(statistics_of(dealt_out(weights, parts), LAYERS), together)


def test_wide_layers_do_not_depend_on_their_company_either():
    layers = layers_of({"a.weight": (40, 1000), "b.weight": (3, 3)})
    rng = np.random.default_rng(0)
    weights = {layer.weight: rng.standard_normal((9, *layer.shape), np.float32) for layer in layers}
    at, zeros = np.arange(9), np.zeros(9, int)
    alone = [
        moments_of({n: v[i : i + 1] for n, v in weights.items()}, layers, at[i : i + 1], zeros[:1])
        for i in range(9)
    ]
    together = moments_of(weights, layers, at, zeros)
    assert equal(statistics_of(alone, layers), statistics_of([together], layers))


def test_a_large_offset_costs_no_precision():
    rng = np.random.default_rng(0)
    values = 1e6 + rng.standard_normal((50, 4, 3))
    statistics = measure({"a.weight": values}, layers_of({"a.weight": (4, 3)}))
    assert statistics.std[0] == pytest.approx(values.std(), rel=1e-9)


def test_a_checkpoint_is_measured_once(weights):
    parts = dealt_out(weights, [np.arange(10), np.arange(9, 20)])
    with pytest.raises(ValueError, match="measured once, got more of run 4, epoch 5"):
        statistics_of(parts, LAYERS)


def test_weights_that_are_not_finite_are_named(weights):
    weights["b.weight"][7, 0, 0] = np.nan
    message = "must be finite to be measured, got others in layer b of run 3, epoch 5"
    with pytest.raises(ValueError, match=message):
        statistics_of(dealt_out(weights, [np.arange(20)]), LAYERS)


def test_no_checkpoint_has_no_statistics(weights):
    with pytest.raises(ValueError, match="at least one train checkpoint, got none"):
        statistics_of(dealt_out(weights, [np.arange(0)]), LAYERS)


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float32, (3, 2, 4), elements=st.floats(-1e3, 1e3, width=32)),
    arrays(np.float32, (2, 2, 4), elements=st.floats(-1e3, 1e3, width=32)),
    st.sampled_from(MODES),
)
def test_unstandardize_undoes_standardize_within_the_last_bit(train, other, mode):
    layers = layers_of({"b.weight": (2, 4)})
    statistics = measure({"b.weight": train}, layers, mode)
    for values in (train, other):
        standardized = standardize({"b.weight": values}, layers, statistics)
        found = unstandardize(standardized, layers, statistics)["b.weight"]
        assert found.dtype == np.float32
        exact = values.astype(np.float64)
        distance = np.abs(exact - statistics.offset[0])
        bound = 2.0**-24 * (distance + np.abs(exact)) * (1 + 1e-6) + 1e-44 * statistics.scale[0]
        assert np.all(np.abs(found - exact) <= bound + 1e-45)


def test_statistics_of_other_checkpoints_do_not_undo_it(weights):
    statistics = measure(weights, LAYERS)
    other = measure({name: 2 * values for name, values in weights.items()}, LAYERS)
    found = unstandardize(standardize(weights, LAYERS, statistics), LAYERS, other)
    assert not np.allclose(found["b.weight"], weights["b.weight"], rtol=1e-2)


def test_the_identity_leaves_weights_as_they_are(weights):
    found = standardize(weights, LAYERS, identity(LAYERS))
    assert all(np.array_equal(found[name], values) for name, values in weights.items())
    assert identity(LAYERS).variance.tolist() == [1, 1, 1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [1.0, 0.01, 0.0, -3e-8])
def test_a_constant_layer_has_scale_1_and_comes_back_exactly(weights, mode, value):
    weights["norm.weight"][:] = value
    statistics = measure(weights, LAYERS, mode)
    assert statistics.constant == ("norm",)
    assert (statistics.std[2], statistics.scale[2], statistics.variance[2]) == (0, 1, 0)
    standardized = standardize(weights, LAYERS, statistics)
    if mode != "none":
        assert not standardized["norm.weight"].any()
    found = unstandardize(standardized, LAYERS, statistics)
    assert np.array_equal(found["norm.weight"], weights["norm.weight"])


def test_a_layer_that_varies_a_little_is_not_constant(weights):
    weights["norm.weight"][:] = 1
    weights["norm.weight"][3, 2] = np.nextafter(np.float32(1), np.float32(2))
    statistics = measure(weights, LAYERS)
    assert statistics.constant == ()
    assert 0 < statistics.scale[2] < 1e-7


def test_a_model_with_other_layers_does_not_fit_the_statistics(weights):
    other = layers_of({"a.weight": (4, 3), "head.weight": (2, 4)})
    weights["head.weight"] = weights["b.weight"]
    message = r"layer head must be among the zoo's layers \['a', 'b', 'norm'\]: the model does not"
    for change in (standardize, unstandardize):
        with pytest.raises(ValueError, match=message):
            change(weights, other, measure(weights, LAYERS))


def test_a_model_with_some_of_the_layers_uses_their_statistics(weights):
    statistics = measure(weights, LAYERS)
    (b,) = layers_of({"b.weight": (2, 4)})
    found = standardize({"b.weight": weights["b.weight"]}, (b,), statistics)
    assert np.array_equal(found["b.weight"], standardize(weights, LAYERS, statistics)["b.weight"])


def test_entries_of_no_layer_are_left_out(weights):
    more = weights | {"bn.running_var": weights["a.bias"], "bn.num_batches_tracked": np.arange(20)}
    assert sorted(standardize(more, LAYERS, measure(more, LAYERS))) == sorted(weights)


@pytest.mark.parametrize("change", [standardize, unstandardize])
def test_integers_and_missing_entries_are_named(weights, change):
    statistics = measure(weights, LAYERS)
    integers = weights | {"b.weight": np.zeros((20, 2, 4), np.int32)}
    with pytest.raises(ValueError, match="entry b.weight must be of floating point, got int32"):
        change(integers, LAYERS, statistics)
    with pytest.raises(ValueError, match="entry b.weight must be of floating point, got int32"):
        measure(integers, LAYERS)
    del weights["a.bias"]
    with pytest.raises(ValueError, match="must hold entry a.bias, got"):
        change(weights, LAYERS, statistics)
