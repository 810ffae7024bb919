"""Units flip their sign where every operation on them is odd, and only there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sane_core.architectures.registry import architecture_named
from sane_core.weights.symmetry.derive import derive, groups_of
from sane_core.weights.symmetry.groups import PermutationGroup, Symmetries
from sane_core.weights.symmetry.permute import permute
from sane_core.weights.symmetry.verify import verify
from tests.symmetry.measure import NOTICED, change, randomize

VECTORS = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def perceptron(activation: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), activation(), nn.Linear(8, 7), activation(), nn.Linear(7, 4)
    )


def flipped(module: nn.Module, inputs: tuple[torch.Tensor, ...], group: PermutationGroup) -> float:
    """Return how far flipping one unit moves an output."""
    signs = np.ones(group.size, np.int8)
    signs[1] = -1
    return change(
        module, inputs, lambda weights: permute(weights, (group,), {}, {group.name: signs})
    )


# A max-pooling takes the largest value, which is not the opposite of the largest opposite.
@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("cnn", ["module_list.6", "module_list.9"]),
        ("digits-cnn", ["module_list.3", "module_list.5", "module_list.8"]),
        ("digits-cnn[dropout=0.1]", ["module_list.3", "module_list.5", "module_list.8"]),
        ("digits-cnn[activation=relu]", []),
        ("cnn3[activation=tanh]", ["module_list.13"]),
        ("cnn3", []),
        ("mlp[activation=tanh,hidden=8x6,size=4]", ["module_list.1", "module_list.3"]),
        ("mlp[activation=sigmoid,hidden=8x6,size=4]", []),
        ("resnet18[width=4,size=8]", []),
        # The insides of the blocks; the streams too, since sums and batch norms are odd as well.
        (
            "resnet18[width=4,size=8,activation=tanh]",
            [group.name for group in groups_of(architecture_named("resnet18[width=4,size=8]"))],
        ),
    ],
)
def test_signs_are_free_where_no_operation_minds(text, odd):
    architecture = architecture_named(text)
    groups = groups_of(architecture)
    assert [group.name for group in groups if group.signs] == odd
    module = randomize(architecture.build())
    images = torch.randn(2, *architecture.input_shape, dtype=torch.float64)
    verify(module, Symmetries(groups), images, signs=True)
    for group in groups:
        if group.signs:
            assert flipped(module, (images,), group) <= 1e-9
        else:
            assert flipped(module, (images,), group) > NOTICED


@pytest.mark.parametrize(
    ("activation", "odd"),
    [
        (nn.Tanh, True),
        (nn.Identity, True),
        (nn.ReLU, False),
        (nn.GELU, False),
        (nn.SiLU, False),
        (nn.Sigmoid, False),
        (nn.LeakyReLU, False),
        (nn.Softplus, False),
        (nn.ELU, False),
    ],
)
def test_only_odd_activations_leave_the_signs_free(activation, odd):
    module = randomize(perceptron(activation))
    symmetries = derive(module, VECTORS)
    assert [group.signs for group in symmetries.groups] == [odd, odd]
    verify(module, symmetries, VECTORS, signs=True)


class Even(nn.Module):
    """An operation between two layers."""

    def __init__(self, operation):
        super().__init__()
        self.first, self.last, self.operation = nn.Linear(6, 8), nn.Linear(8, 4), operation

    def forward(self, x):
        return self.last(self.operation(self.first(x)))


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + 1,
        lambda x: x.square(),
        lambda x: x.softmax(-1),
        lambda x: x - x.mean(-1, keepdim=True),
        lambda x: x * x.sum(-1, keepdim=True),
        lambda x: torch.where(x > 0, x, 0 * x),
        lambda x: x.clamp(min=-1),
        lambda x: torch.tanh(x) * torch.sigmoid(x),
    ],
    ids=["plus 1", "square", "softmax", "centred", "times sum", "where", "clamp", "gate"],
)
def test_what_is_not_odd_holds_the_signs(operation):
    module = randomize(Even(operation))
    (group,) = derive(module, VECTORS).groups
    assert not group.signs
    assert flipped(module, (VECTORS,), group) > NOTICED


class Depthwise(nn.Module):
    """Each channel goes its own way through odd operations."""

    def __init__(self, multiplier):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.own, self.norm = (
            nn.Conv2d(4, 4 * multiplier, 3, groups=4),
            nn.BatchNorm2d(4 * multiplier),
        )
        self.last = nn.Linear(4 * multiplier, 5)

    def forward(self, x):
        return self.last(torch.tanh(self.norm(self.own(torch.tanh(self.first(x))))).mean((2, 3)))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_depthwise_layer_passes_signs_on(multiplier):
    module = randomize(Depthwise(multiplier))
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    verify(module, derive(module, images), images, signs=True)


def test_verifying_signs_names_the_group_that_has_none():
    module = randomize(perceptron(nn.ReLU))
    first, second = derive(module, VECTORS).groups
    wrong = Symmetries((replace(first, signs=True), second))
    verify(module, wrong, VECTORS)
    with pytest.raises(ValueError, match=rf"{first.name}\b.* must keep its outputs"):
        verify(module, wrong, VECTORS, signs=True)
