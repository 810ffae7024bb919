"""One mean and one standard deviation per layer, and back."""

import numpy as np
import pytest

from sane_core.weights.layers import layers_of
from sane_core.weights.standardize import identity, measure, standardize, unstandardize

SHAPES = {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 4)}
LAYERS = layers_of(SHAPES)


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(3 * ("b" in name), 0.1, (20, *shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def test_standardized_layers_have_mean_0_and_std_1_with_the_bias_pooled_in(weights):
    found = standardize(weights, LAYERS, measure(weights, LAYERS))
    first = np.concatenate([found["a.weight"].ravel(), found["a.bias"].ravel()])
    for pooled in (first, found["b.weight"]):
        assert pooled.mean() == pytest.approx(0, abs=1e-4)
        assert pooled.std() == pytest.approx(1, abs=1e-4)
    assert abs(found["a.bias"].mean()) > 1e-3  # not on its own


def test_unstandardize_undoes_standardize(weights):
    statistics = measure(weights, LAYERS)
    found = unstandardize(standardize(weights, LAYERS, statistics), LAYERS, statistics)
    for name, values in weights.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values, rtol=3e-7, atol=1e-7)


def test_statistics_of_other_checkpoints_do_not_undo_it(weights):
    statistics = measure(weights, LAYERS)
    other = measure({name: 2 * values for name, values in weights.items()}, LAYERS)
    found = unstandardize(standardize(weights, LAYERS, statistics), LAYERS, other)
    assert not np.allclose(found["b.weight"], weights["b.weight"], rtol=1e-2)


def test_the_identity_leaves_weights_as_they_are(weights):
    found = standardize(weights, LAYERS, identity(LAYERS))
    assert all(np.array_equal(found[name], values) for name, values in weights.items())


def test_a_constant_layer_is_refused(weights):
    weights["b.weight"][:] = 1
    with pytest.raises(ValueError, match="layer b must vary to be standardized, got std 0"):
        measure(weights, LAYERS)
