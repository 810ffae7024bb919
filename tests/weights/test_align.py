"""Weight matching finds the permutations that bring a model close to the reference."""

from itertools import permutations as orders
from itertools import product

import numpy as np
import pytest
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.cnn import SequentialNet
from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights import align as align_module
from sane_core.weights.align import align, match, similarity, squared_distance
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import inverse, permute, random_permutations
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.training import TrainingConfig

DIGITS_CNN = architecture_named("digits-cnn")
GROUPS = groups_of(DIGITS_CNN)
TINY = Architecture(
    name="tiny",
    input_shape=(1, 1, 3),
    build=lambda: SequentialNet(
        [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)]
    ),
)


def drawn(architecture, models, seed) -> dict[str, np.ndarray]:
    members = members_of(TrainingConfig(), range(models), seed)
    population = initialize(architecture, members, seed)
    return {name: values.numpy() for name, values in population.items()}


def first(weights) -> dict[str, np.ndarray]:
    return {name: values[0] for name, values in weights.items()}


def distance_of(reference, weights, groups, found) -> np.ndarray:
    return squared_distance(reference, permute(weights, groups, found))


@pytest.mark.parametrize("seed", range(5))
def test_a_permuted_copy_is_matched_back_exactly(seed):
    reference = first(drawn(DIGITS_CNN, 1, seed))
    copies = {name: np.repeat(values[None], 6, axis=0) for name, values in reference.items()}
    hidden = random_permutations(GROUPS, 6, rng_for(seed, "hidden"))
    found = match(reference, permute(copies, GROUPS, hidden), GROUPS, rng_for(seed, "align"))
    for name, values in inverse(hidden).items():
        assert np.array_equal(found[name], values)


def test_the_inner_product_with_the_reference_never_decreases(monkeypatch):
    models = drawn(DIGITS_CNN, 12, 1)
    reference = first(drawn(DIGITS_CNN, 1, 0))
    products = []

    def watched(group, target, current):
        products.append(
            sum((current[name] * values).reshape(12, -1).sum(1) for name, values in target.items())
        )
        return similarity(group, target, current)

    monkeypatch.setattr(align_module, "similarity", watched)
    match(reference, models, GROUPS, rng_for(0, "align"))
    steps = np.diff(np.stack(products), axis=0)
    assert steps.min() >= -1e-9
    assert steps.max() > 0.1


def test_matching_lowers_the_distance_to_the_reference_of_every_model():
    models = drawn(DIGITS_CNN, 20, 1)
    reference = first(drawn(DIGITS_CNN, 1, 0))
    found = match(reference, models, GROUPS, rng_for(0, "align"))
    before = squared_distance(reference, models)
    assert np.all(distance_of(reference, models, GROUPS, found) < before)


def test_matching_is_near_the_best_of_all_permutations_on_a_tiny_network():
    """Coordinate descent may stop at a local optimum: most often it does not, never far off."""
    groups = groups_of(TINY)
    models, reference = drawn(TINY, 20, 1), first(drawn(TINY, 1, 0))
    found = distance_of(reference, models, groups, match(reference, models, groups, rng_for(0)))
    every = [np.array(order) for order in orders(range(4))]
    names = [group.name for group in groups]
    tried = [dict(zip(names, pair, strict=True)) for pair in product(every, every)]
    best = np.min([distance_of(reference, models, groups, one) for one in tried], axis=0)
    assert np.all(found >= best - 1e-5)
    assert np.mean(found <= best + 1e-5) >= 0.5
    assert np.all(found <= 1.15 * best)


def test_one_group_alone_is_matched_as_well_as_by_trying_everything():
    groups = groups_of(TINY)[:1]
    models, reference = drawn(TINY, 20, 2), first(drawn(TINY, 1, 0))
    found = match(reference, models, groups, rng_for(0))
    best = np.min(
        [
            distance_of(reference, models, groups, {groups[0].name: np.array(order)})
            for order in orders(range(4))
        ],
        axis=0,
    )
    np.testing.assert_allclose(
        distance_of(reference, models, groups, found), best, rtol=0, atol=1e-5
    )


def test_all_epochs_of_a_run_are_permuted_alike():
    flat = drawn(DIGITS_CNN, 6, 0)
    weights = {name: values.reshape(3, 2, *values.shape[1:]) for name, values in flat.items()}
    found = random_permutations(GROUPS, 3, np.random.default_rng(0))
    aligned = align(weights, GROUPS, found)
    for epoch in range(2):
        expected = permute({n: v[:, epoch] for n, v in weights.items()}, GROUPS, found)
        for name, values in expected.items():
            assert np.array_equal(aligned[name][:, epoch], values)
