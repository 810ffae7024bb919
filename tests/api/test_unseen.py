"""Networks that a SANE was not trained on are embedded by what they say of themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sane_core.api.sane import Sane
from sane_core.weights.symmetry.groups import Axis, PermutationGroup
from tests.api.stages import MLP, PREPROCESS, RESNET, network
from tests.api.test_embed import module_of

OTHER = "mlp[size=4,hidden=24x16]"


def test_a_registered_network_is_known_by_its_shapes(sane):
    found = sane.embed([network(OTHER, 1), network(OTHER, 2)])
    assert {(each.zoo, each.aligned) for each in found.networks} == {(None, True)}
    assert {each.architecture for each in found.networks} == {OTHER}


def test_statistics_are_those_of_the_networks_given_together(sane):
    state = network(OTHER, 1)
    larger = {name: 3 * value for name, value in state.items()}
    alone, scaled = sane.embed(state).vectors, sane.embed(larger).vectors
    np.testing.assert_allclose(alone, scaled, atol=1e-5)
    together = sane.embed([state, larger]).vectors
    assert not np.allclose(together[0], together[1], atol=1e-3)


def test_statistics_of_a_zoo_do_not_depend_on_the_networks_given_together(sane):
    state = network(MLP, 1)
    larger = {name: 3 * value for name, value in state.items()}
    together = sane.embed([state, larger]).vectors
    np.testing.assert_allclose(together[0], sane.embed(state).vectors, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-3)


def test_an_architecture_that_is_named_is_taken(sane):
    name = "tests.api.test_unseen:Own"
    state = Own().state_dict()
    with pytest.raises(
        ValueError,
        match=r"architecture that this SANE knows, mlps \(mlp\[size=4\]\), or of a registered one, "
        r"got one.weight \[6, 3, 3, 3\], .* give the module",
    ):
        sane.embed(state)
    found = sane.embed(state, architecture=name)
    assert found.networks[0].architecture == name
    assert found.networks[0].aligned
    as_module = sane.embed(module_with(state))
    np.testing.assert_allclose(found.vectors, as_module.vectors, atol=1e-5)


def test_an_architecture_that_does_not_fit_is_refused(sane):
    with pytest.raises(ValueError, match="the network is not a state dict of .*Own: missing: one"):
        sane.embed(network(MLP, 0), architecture="tests.api.test_unseen:Own")


def test_what_a_state_dict_has_too_much_or_too_little_is_named(sane):
    state = network(MLP, 0)
    first = next(iter(state))
    extra, missing = (
        state | {"more.weight": state[first]},
        {k: state[k] for k in state if k != first},
    )
    said = r"must have the entries of mlps \(mlp\[size=4\]\), got "
    for given, found in ((extra, "unexpected: more.weight"), (missing, f"missing: {first}")):
        for how in ({"architecture": MLP}, {"zoo": "mlps"}):
            with pytest.raises(ValueError, match=f"{said}{found}$"):
                sane.embed(given, **how)
    with pytest.raises(ValueError, match=f"{said}architecture cnn$"):
        sane.embed(state, zoo="mlps", architecture="cnn")


def test_a_zoo_that_is_not_there_is_refused(resnet_sane):
    with pytest.raises(ValueError, match=r"zoo must be one of mlps .*, resnets .*, got 'x'"):
        resnet_sane.embed(network(MLP, 0), zoo="x")
    with pytest.raises(ValueError, match="must have the entries of resnets"):
        resnet_sane.embed(network(MLP, 0), zoo="resnets")


def test_of_two_zoos_of_one_architecture_one_must_be_named(sane):
    bundle = sane.bundle
    record = bundle.description.zoos[0]
    other = record.model_copy(
        update={
            "name": "others",
            "statistics": record.statistics.model_copy(
                update={"scale": tuple(2 * scale for scale in record.statistics.scale)}
            ),
        }
    )
    described = bundle.description.model_copy(update={"zoos": (record, other)})
    both = Sane(replace(bundle, description=described, references=2 * bundle.references))
    state = network(MLP, 0)
    with pytest.raises(ValueError, match=r"fits several zoos of this SANE, .* \(zoo=\)"):
        both.embed(state)
    first, second = (both.embed(state, zoo=name) for name in ("mlps", "others"))
    np.testing.assert_array_equal(first.vectors, sane.embed(state).vectors)
    assert not np.allclose(first.vectors, second.vectors, atol=1e-4)
    assert second.networks[0].zoo == "others"


def test_zoos_of_one_name_are_refused(make):
    with pytest.raises(ValueError, match="zoos must have different names, got mlps, mlps"):
        make(MLP, MLP)


class Own(nn.Module):
    """A network of a user's own."""

    input_shape = (3, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.relu(self.one(x)).mean((2, 3)))


def module_with(state: dict[str, torch.Tensor]) -> nn.Module:
    module = Own()
    module.load_state_dict(state)
    return module


def swapped(module: nn.Module) -> nn.Module:
    """The same function, its units in reverse order."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    for name in ("one.weight", "one.bias"):
        state[name] = state[name].flip(0)
    state["two.weight"] = state["two.weight"].flip(1)
    return module_with(state)


def test_a_module_of_ones_own_is_aligned_by_its_own_trace(sane):
    one = Own()
    vectors = sane.embed([one, swapped(one)]).vectors
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    apart = sane.embed([one, swapped(one)], align=False).vectors
    assert not np.allclose(apart[0], apart[1], atol=1e-4)


class Shapeless(Own):
    """Does not say what its inputs are."""

    input_shape = None


def test_a_module_whose_inputs_are_unknown_is_not_aligned_and_a_field_says_so(sane):
    module = Shapeless()
    (read,) = sane.embed(module).networks
    assert not read.aligned
    assert read.note.startswith("not aligned: it is not known what its inputs are; give examples")
    (read,) = sane.embed(module, inputs=torch.zeros(1, 3, 6, 6)).networks
    assert (read.aligned, read.note) == (True, "")


class Branching(Own):
    """Looks at numbers, which no trace can follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.sum() > 0 else -x)


def test_a_module_that_cannot_be_traced_is_embedded_unaligned_with_the_reason(sane, recwarn):
    found = sane.embed(Branching())
    assert "must be traceable by torch.fx" in found.networks[0].note
    assert not found.networks[0].aligned
    assert np.isfinite(found.vectors).all()
    assert not recwarn.list


class ByHand(Branching):
    """Names its groups itself."""

    permutation_groups = (
        PermutationGroup(
            "one", 6, (Axis("one.weight", 0), Axis("one.bias", 0), Axis("two.weight", 1))
        ),
    )


def test_groups_written_by_hand_are_taken(sane):
    (read,) = sane.embed(ByHand()).networks
    assert read.aligned


def test_a_module_of_a_known_zoo_takes_its_statistics(resnet_sane):
    (read,) = resnet_sane.embed([module_of(RESNET, 1)]).networks
    assert (read.zoo, read.aligned) == ("resnets", True)


def test_a_sane_trained_without_alignment_does_not_align(make):
    sane = make(MLP, preprocess=PREPROCESS.model_copy(update={"align": False}))
    (read,) = sane.embed(network(MLP, 1)).networks
    assert read.note == "not aligned: this SANE was trained without alignment"
