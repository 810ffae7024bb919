"""Permuting hidden units keeps the function, is undone by its inverse, and turns tokens alike."""

import numpy as np
import pytest
import torch
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.cnn import SequentialNet
from sane_core.architectures.registry import architecture_named
from sane_core.weights.layers import largest_row, layers_of
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import inverse, permute, random_permutations
from sane_core.weights.tokens import tokenize
from sane_core.windows.views import draw_views
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import logits, stack
from schemas.config.training import TrainingConfig

DIGITS_CNN = architecture_named("digits-cnn")
GROUPS = groups_of(DIGITS_CNN)
LAYERS = layers_of(DIGITS_CNN.shapes())


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    """Five networks in float64."""
    drawn = initialize(DIGITS_CNN, members_of(TrainingConfig(), range(5), 0), 0)
    return {name: values.double().numpy() for name, values in drawn.items()}


def outputs(weights) -> np.ndarray:
    pixels = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    return logits(DIGITS_CNN, stack(DIGITS_CNN, weights), pixels).numpy()


def test_permuting_all_groups_keeps_the_function(weights):
    permutations = random_permutations(GROUPS, 5, np.random.default_rng(0))
    permuted = permute(weights, GROUPS, permutations)
    assert not np.array_equal(permuted["module_list.8.weight"], weights["module_list.8.weight"])
    np.testing.assert_allclose(outputs(permuted), outputs(weights), rtol=0, atol=1e-9)


def test_the_inverse_undoes_a_permutation(weights):
    permutations = random_permutations(GROUPS, 5, np.random.default_rng(0))
    back = permute(permute(weights, GROUPS, permutations), GROUPS, inverse(permutations))
    assert all(np.array_equal(back[name], values) for name, values in weights.items())


def test_one_permutation_for_all_models_is_that_permutation_for_each(weights):
    one = {g.name: np.random.default_rng(1).permutation(g.size) for g in GROUPS}
    each = {name: np.tile(values, (5, 1)) for name, values in one.items()}
    found, expected = permute(weights, GROUPS, one), permute(weights, GROUPS, each)
    assert all(np.array_equal(found[name], expected[name]) for name in weights)


@pytest.mark.parametrize("d_t", [20, largest_row(LAYERS)])
def test_a_view_of_tokens_is_the_permuted_network_tokenized_again(weights, d_t):
    tokens = tokenize(weights, LAYERS, d_t)
    views = draw_views(LAYERS, GROUPS, d_t, 3, np.random.default_rng(7))
    permutations = random_permutations(GROUPS, 3, np.random.default_rng(7))
    seen = np.stack([views.see(model, 0, views.tokens) for model in tokens], axis=1)
    for view, found in enumerate(seen):
        own = {name: values[view] for name, values in permutations.items()}
        expected = tokenize(permute(weights, GROUPS, own), LAYERS, d_t)
        assert np.array_equal(found, expected)
        assert not np.array_equal(expected, tokens)


def sequence(*layers) -> Architecture:
    return Architecture("sequence", (3, 8, 8), lambda: SequentialNet(list(layers)))


def test_a_layer_without_a_bias_has_none_to_permute():
    network = sequence(nn.Conv2d(3, 4, 3, bias=False), nn.Flatten(), nn.Linear(144, 2))
    (group,) = groups_of(network)
    assert [(axis.entry, axis.axis, axis.block) for axis in group.axes] == [
        ("module_list.0.weight", 0, 1),
        ("module_list.2.weight", 1, 36),
    ]
