"""Weight matching finds the permutations that bring a model close to the reference."""

import re

import numpy as np
import pytest
import torch

from benchmarks.shared.plain_alignment import match_plainly
from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights import align as align_module
from sane_core.weights.align import match, squared_distance
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.groups import Axis, PermutationGroup
from sane_core.weights.symmetry.permute import (
    inverse,
    inverse_signs,
    permute,
    random_permutations,
    random_signs,
)
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.training import TrainingConfig

DIGITS_CNN = architecture_named("digits-cnn")
GROUPS = tuple(
    PermutationGroup(
        f"module_list.{this}",
        size,
        (
            Axis(f"module_list.{this}.weight", 0),
            Axis(f"module_list.{this}.bias", 0),
            Axis(f"module_list.{behind}.weight", 1, 0, block, ((block, 1),) if block > 1 else ()),
        ),
        signs=this in (5, 8),
    )
    for this, size, behind, block in ((0, 8, 3, 1), (3, 6, 5, 1), (5, 4, 8, 9), (8, 20, 10, 1))
)
RESNET = architecture_named("resnet18[width=8]")
STREAMS_AND_BLOCKS = groups_of(RESNET)


def drawn(models, seed) -> dict[str, np.ndarray]:
    population = initialize(DIGITS_CNN, members_of(TrainingConfig(), range(models), seed), seed)
    return {name: values.numpy() for name, values in population.items()}


def resnet(seed) -> dict[str, np.ndarray]:
    """A narrow ResNet-18 in float64 whose batch norms are not all alike."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    return {
        name: values.double().numpy() + 0.1 * rng.random(values.shape)
        for name, values in RESNET.build().state_dict().items()
        if values.ndim
    }


def first(weights) -> dict[str, np.ndarray]:
    return {name: values[0] for name, values in weights.items()}


def one(weights) -> dict[str, np.ndarray]:
    return {name: values[None] for name, values in weights.items()}


def copies(reference, models) -> dict[str, np.ndarray]:
    return {name: np.repeat(values[None], models, axis=0) for name, values in reference.items()}


@pytest.mark.parametrize("seed", range(5))
def test_a_permuted_copy_is_matched_back_exactly(seed):
    reference = first(drawn(1, seed))
    hidden = random_permutations(GROUPS, 6, rng_for(seed, "hidden"))
    permuted = permute(copies(reference, 6), GROUPS, hidden)
    found = match(reference, permuted, GROUPS, seed)
    for name, values in inverse(hidden).items():
        assert np.array_equal(found.permutations[name], values)
    assert found.converged.all()
    back = permute(permuted, GROUPS, found.permutations)
    assert all(np.array_equal(back[name][5], values) for name, values in reference.items())


def test_a_permuted_resnet_is_matched_back_exactly():
    reference = resnet(0)
    hidden = random_permutations(STREAMS_AND_BLOCKS, 1, np.random.default_rng(0))
    permuted = permute(one(reference), STREAMS_AND_BLOCKS, hidden)
    found = match(reference, permuted, STREAMS_AND_BLOCKS, 0).permutations
    assert len(found) == 12
    assert all(np.array_equal(found[name], values) for name, values in inverse(hidden).items())


def test_a_copy_with_flipped_units_is_matched_back_with_its_signs():
    """One order of the groups may end at a local optimum; one of a few does not."""
    reference = first(drawn(1, 1))
    hidden = random_permutations(GROUPS, 20, rng_for(1, "hidden"))
    flips = random_signs(GROUPS, 20, rng_for(1, "flips"))
    permuted = permute(copies(reference, 20), GROUPS, hidden, flips)
    undo, back = inverse_signs(hidden, flips), inverse(hidden)
    matched = np.zeros((5, 20), bool)
    for seed in range(5):
        found = match(reference, permuted, GROUPS, seed, signs=True)
        assert set(found.signs) == set(undo) == {"module_list.5", "module_list.8"}
        same = [found.signs[k] == v for k, v in undo.items()]
        same += [found.permutations[k] == v for k, v in back.items()]
        matched[seed] = np.concatenate(same, axis=1).all(axis=1)
    assert matched.any(axis=0).all()
    assert matched.mean() > 0.8


def test_signs_are_left_alone_unless_asked_for():
    assert match(first(drawn(1, 0)), drawn(2, 1), GROUPS, 0).signs == {}


def test_matching_lowers_the_distance_to_the_reference_of_every_model():
    models, reference = drawn(20, 1), first(drawn(1, 0))
    found = match(reference, models, GROUPS, 0)
    after = squared_distance(reference, permute(models, GROUPS, found.permutations))
    assert np.all(after < squared_distance(reference, models))


@pytest.mark.parametrize("signs", [False, True])
def test_it_takes_the_same_steps_as_the_plain_algorithm(signs):
    models = {name: values.astype(np.float64) for name, values in drawn(5, 1).items()}
    reference = first(drawn(1, 0))
    found = match(reference, models, GROUPS, 3, signs=signs)
    for m in range(5):
        model = {name: values[m] for name, values in models.items()}
        permutations, flips = match_plainly(reference, model, GROUPS, 3, signs=signs)
        assert all(np.array_equal(found.permutations[k][m], p) for k, p in permutations.items())
        assert all(np.array_equal(found.signs[k][m], s) for k, s in flips.items())


def test_it_takes_the_same_steps_as_the_plain_algorithm_on_a_resnet():
    reference, model = resnet(0), resnet(1)
    plain, _ = match_plainly(reference, model, STREAMS_AND_BLOCKS, 3)
    found = match(reference, one(model), STREAMS_AND_BLOCKS, 3)
    assert found.sweeps[0] > 2
    assert all(np.array_equal(found.permutations[name][0], p) for name, p in plain.items())


def test_a_model_is_matched_alike_alone_and_beside_any_others(monkeypatch):
    models, reference = drawn(70, 1), first(drawn(1, 0))
    together = match(reference, models, GROUPS, 0, signs=True)
    order = np.random.default_rng(0).permutation(70)
    shuffled = {name: values[order] for name, values in models.items()}
    monkeypatch.setattr(align_module, "SHARD_BYTES", 100_000)
    in_shards = match(reference, shuffled, GROUPS, 0, signs=True)
    for m in (0, 1, 69):
        alone = match(
            reference, {n: v[m : m + 1] for n, v in models.items()}, GROUPS, 0, signs=True
        )
        for ours, other, single in (
            (together.permutations, in_shards.permutations, alone.permutations),
            (together.signs, in_shards.signs, alone.signs),
        ):
            for name, values in ours.items():
                assert np.array_equal(values[order], other[name])
                assert np.array_equal(values[m], single[name][0])


def test_a_large_model_is_matched_alike_alone_and_beside_others():
    reference = resnet(0)
    pair = {
        n: np.stack([v, w]).astype(np.float32)
        for (n, v), w in zip(resnet(1).items(), resnet(2).values(), strict=True)
    }
    groups = STREAMS_AND_BLOCKS
    together = match({n: v.astype(np.float32) for n, v in reference.items()}, pair, groups, 0)
    second = {name: values[1:] for name, values in pair.items()}
    alone = match({n: v.astype(np.float32) for n, v in reference.items()}, second, groups, 0)
    for name, values in alone.permutations.items():
        assert np.array_equal(together.permutations[name][1], values[0])
    assert together.sweeps[1] == alone.sweeps[0]


def test_no_more_sweeps_are_made_than_allowed():
    models, reference = drawn(5, 1), first(drawn(1, 0))
    assert match(reference, models, GROUPS, 0).converged.all()
    short = match(reference, models, GROUPS, 0, max_sweeps=1)
    assert short.sweeps.tolist() == [1] * 5
    assert not short.converged.any()


def _without(weights):
    del weights["module_list.3.bias"]


def _shortened(weights):
    weights["module_list.3.bias"] = weights["module_list.3.bias"][..., :5]


def _broken(weights):
    weights["module_list.3.bias"] = weights["module_list.3.bias"].copy()
    weights["module_list.3.bias"][2, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _without,
            "the models must have every entry of group module_list.3, got no module_list.3.b",
        ),
        (
            _shortened,
            "module_list.3.bias of the models must have the reference's shape (6,) behind ",
        ),
        (_broken, "models must be finite, got NaN or infinity in module_list.3.bias of models [2]"),
    ],
)
def test_models_that_cannot_be_matched_are_named(change, message):
    models = drawn(3, 1)
    change(models)
    with pytest.raises(ValueError, match=re.escape(message)):
        match(first(drawn(1, 0)), models, GROUPS, 0)


def test_a_reference_that_cannot_be_matched_is_named():
    reference = first(drawn(1, 0))
    reference["module_list.0.weight"] = np.full_like(reference["module_list.0.weight"], np.inf)
    with pytest.raises(
        ValueError, match="the reference must be finite, got NaN or infinity in mod"
    ):
        match(reference, drawn(2, 1), GROUPS, 0)
    del reference["module_list.0.weight"]
    with pytest.raises(ValueError, match="the reference must have every entry of group module_li"):
        match(reference, drawn(2, 1), GROUPS, 0)


def _uneven(weights):
    weights["module_list.3.bias"] = weights["module_list.3.bias"][:2]


def _none(weights):
    weights |= {name: values[:0] for name, values in weights.items()}


@pytest.mark.parametrize("change", [_uneven, _none])
def test_entries_must_have_equally_many_models(change):
    models = drawn(3, 1)
    change(models)
    with pytest.raises(ValueError, match="every entry must have equally many models, 1 or more"):
        match(first(drawn(1, 0)), models, GROUPS, 0)


def test_a_network_without_groups_stays_as_it_is():
    found = match(first(drawn(1, 0)), drawn(2, 1), [], 0)
    assert found.permutations == {}
    assert found.converged.tolist() == [True, True]


def test_a_group_larger_than_its_axis_is_named():
    group = PermutationGroup("module_list.0", 9, (Axis("module_list.0.bias", 0),))
    with pytest.raises(ValueError, match=re.escape("must have 9 or more indices for group module")):
        match(first(drawn(1, 0)), drawn(2, 1), [group], 0)
