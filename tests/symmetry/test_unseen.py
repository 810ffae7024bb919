"""Networks that the library has never seen: what is found holds, is complete, and is needed."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import fx

from sane_core.weights.symmetry.derive import derive
from sane_core.weights.symmetry.groups import Symmetries
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.symmetry.verify import verify
from tests.symmetry.measure import (
    NOTICED,
    change,
    places,
    randomize,
    sizes,
    turn,
    unsaid,
    without_one,
)
from tests.symmetry.networks import CASES, Case

CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
MISLEADING = ("head", "qkv", "downsample", "running_var", "fc", "conv1", "bias", "pos_embed")


@pytest.fixture(scope="module")
def network_of():
    """Make each network and derive its symmetries once, whatever asks for them."""
    made = {}

    def made_once(case: Case):
        if case.name not in made:
            module = randomize(case.build())
            made[case.name] = module, derive(module, case.inputs()), case.inputs(1)
        return made[case.name]

    return made_once


@CASE
def test_permuting_what_was_found_keeps_the_function(network_of, case):
    module, symmetries, inputs = network_of(case)
    assert all(found <= 1e-9 for found in verify(module, symmetries, inputs).values())
    drawn = random_permutations(symmetries.groups, 1, np.random.default_rng(0))
    moved = change(module, inputs, lambda weights: permute(weights, symmetries.groups, drawn))
    assert moved <= 1e-9


@CASE
def test_flipping_the_signs_that_were_found_keeps_the_function(network_of, case):
    module, symmetries, inputs = network_of(case)
    verify(module, symmetries, inputs, signs=True)


@CASE
def test_forgetting_one_axis_changes_the_function(network_of, case):
    module, symmetries, inputs = network_of(case)
    for group in symmetries.groups:
        for entry, forgetful in without_one(group):
            moved = turn(module, inputs, (forgetful,))
            assert moved > NOTICED or entry in case.invisible, f"{group.name} without {entry}"


@CASE
def test_what_can_be_permuted_is_found(network_of, case):
    _, symmetries, _ = network_of(case)
    found, wanted = sizes(symmetries), Counter(case.sizes)
    assert wanted <= found <= wanted + Counter(case.possible), symmetries.fixed


@CASE
def test_every_axis_is_permuted_or_fixed_for_a_reason(network_of, case):
    module, symmetries, _ = network_of(case)
    assert not unsaid(module, symmetries)
    assert all(fixed.reason for fixed in symmetries.fixed)
    assert len({group.name for group in symmetries.groups}) == len(symmetries.groups)
    assert all(group.size > 1 and group.axes for group in symmetries.groups)


@CASE
def test_groups_do_not_disturb_each_other(network_of, case):
    module, symmetries, _ = network_of(case)
    weights = {name: value.numpy()[None] for name, value in module.state_dict().items()}
    drawn = random_permutations(symmetries.groups, 1, np.random.default_rng(0))
    forwards = permute(weights, symmetries.groups, drawn)
    backwards = permute(weights, symmetries.groups[::-1], drawn)
    assert all(np.array_equal(forwards[name], backwards[name]) for name in weights)


@CASE
def test_names_are_not_consulted(network_of, case):
    module, symmetries, _ = network_of(case)
    renamed, names = rename(module)
    found = derive(renamed, case.inputs())
    assert {places(group) for group in found.groups} == {
        frozenset((entry_in(names, entry), axis, where) for entry, axis, where in places(group))
        for group in symmetries.groups
    }


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("case", CASES[::6], ids=lambda case: case.name)
def test_neither_the_batch_nor_the_precision_matters(network_of, case, batch):
    module, symmetries, _ = network_of(case)
    inputs = tuple(each[:1].expand(batch, *each.shape[1:]) for each in case.inputs())
    assert derive(module, inputs) == symmetries
    single = tuple(each.float() if each.is_floating_point() else each for each in case.inputs())
    assert derive(case.build(), tuple(each.to("meta") for each in single)) == symmetries


def test_deriving_changes_nothing():
    case = next(case for case in CASES if case.name == "InvertedResidual")
    module = randomize(case.build()).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    derive(module, case.inputs())
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_verifying_names_the_group_that_is_wrong(network_of):
    case = next(case for case in CASES if case.name == "Highway")
    module, symmetries, inputs = network_of(case)
    (group,) = symmetries.groups
    wrong = Symmetries((replace(group, axes=group.axes[1:]),))
    with pytest.raises(ValueError, match=rf"{group.name}\b.* must keep its outputs to 1e-09"):
        verify(module, wrong, inputs)
    assert verify(module, wrong, inputs, tolerance=100.0)[group.name] > NOTICED


def rename(module: torch.nn.Module) -> tuple[fx.GraphModule, dict[str, str]]:
    """Return the same network under misleading names in another order, and old -> new name."""
    graph = fx.symbolic_trace(module).graph
    nodes = [node for node in graph.nodes if node.op in ("call_module", "get_attr")]
    targets = list(dict.fromkeys(str(node.target) for node in nodes))
    random.Random(0).shuffle(targets)
    targets.sort(key=lambda target: target.count("."))
    names: dict[str, str] = {}
    for i, old in enumerate(targets):
        inside = next((other for other in names if old.startswith(f"{other}.")), None)
        new = f"{MISLEADING[i % len(MISLEADING)]}_{i}"
        names[old] = names[inside] + old[len(inside) :] if inside else new
    root = {names[old]: attribute(module, old) for old in targets}
    for node in nodes:
        node.target = names[str(node.target)]
    return fx.GraphModule(root, graph), names


def attribute(module: torch.nn.Module, path: str):
    """Return a module or parameter by its path."""
    for part in path.split("."):
        module = getattr(module, part)
    return module


def entry_in(names: dict[str, str], entry: str) -> str:
    """Return the new name of an entry: its own, or its module's with its last part."""
    old = entry if entry in names else next(old for old in names if entry.startswith(f"{old}."))
    return names[old] + entry[len(old) :]
