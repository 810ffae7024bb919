"""However an operation is called, no symmetry is found that does not hold."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from sane_core.weights.symmetry.derive import derive
from sane_core.weights.symmetry.verify import verify
from tests.symmetry.measure import randomize

VECTORS = (3, 6)
TOKENS = (3, 5, 6)
Forward = Callable[[Any, torch.Tensor], Any]


class Between(nn.Module):
    """Two layers with something between them; eight units come in."""

    def __init__(self, between: Forward, units: int = 8, **modules: Any) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(6, 8)
        self.last, self.between = nn.Linear(units, 4), between
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.between(self, torch.tanh(self.first(x))))


@dataclass
class Answer:
    logits: torch.Tensor


class AnswersInAnObject(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> Answer:
        return Answer(self.b(torch.relu(self.a(x))))


class InADictionary(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": x.cumsum(-1)}


@fx.wrap
def in_a_dictionary(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"y": x.cumsum(-1)}


@fx.wrap
def in_place(x: torch.Tensor) -> None:
    x.copy_(x.cumsum(-1))


def _in_place(self: Any, h: torch.Tensor) -> torch.Tensor:
    in_place(h)
    return h


def _into_another(self: Any, h: torch.Tensor) -> torch.Tensor:
    other = torch.zeros_like(h)
    torch.add(h, h.cumsum(-1), out=other)
    return other


class LearnedMask(nn.Module):
    """Attention under a mask of weights: as many tokens as the mask has rows."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.mask, self.out = nn.Parameter(torch.zeros(5, 5)), nn.Linear(6, 4)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True) if whole else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.attention is None:
            mixed = functional.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)
        else:
            mixed, _ = self.attention(x, x, x, attn_mask=self.mask, need_weights=False)
        return self.out(mixed)


class Past(nn.Module):
    """Reaches weights and statistics past the tracer, or picks one by its number."""

    def __init__(self, pick: Callable[[Any], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 4)
        self.pick = pick

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.norm(self.a(x)))) * self.pick(self)


class Unstored(nn.Module):
    """A running mean that no state dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)
        self.norm.register_buffer("running_mean", torch.rand(8), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.norm(self.a(x))))


class TransposedInPlace(nn.Module):
    """As many units as rows, exchanged under the same name."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.rows = nn.Linear(6, 5), nn.Linear(5, 4), nn.Parameter(torch.ones(5, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x)).unsqueeze(1) * self.rows
        h.transpose_(1, 2)
        return self.b((h * torch.tanh(self.rows)).sum(1))


class AllAxesReversed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cube, self.a, self.b = (
            nn.Parameter(torch.ones(5, 5, 5)),
            nn.Linear(6, 5),
            nn.Linear(5, 4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        one, other = (
            torch.relu(torch.einsum("bi,ijk->bjk", h, w)) for w in (self.cube.T, self.cube)
        )
        return self.b(one.sum(2)) + self.b(other.cumsum(2).sum(2))


def patched() -> nn.Module:
    network = Between(lambda self, h: self.hidden(h), hidden=nn.Linear(8, 8))
    network.hidden.forward = MethodType(
        lambda module, x: functional.linear(x.cumsum(-1), module.weight, module.bias),
        network.hidden,
    )
    return network


PERMUTATIONS = {
    "an extremum by name": lambda: Between(lambda self, h: torch.max(h, other=h.cumsum(-1))),
    "into another tensor": lambda: Between(_into_another),
    "a dictionary": lambda: Between(lambda self, h: in_a_dictionary(h)["y"]),
    "nothing": lambda: Between(_in_place),
    "another forward": patched,
    "a dimension after an index": lambda: Between(
        lambda self, h: h.view(-1, 2, 2, 2).select(index=1, dim=2).cumsum(1).flatten(1), units=4
    ),
    "an object": AnswersInAnObject,
    "weights of a list": lambda: Past(lambda self: list(self.a.parameters())[1][0]),
    "weights past the module": lambda: Past(lambda self: self.a._parameters["bias"][0]),
    "one statistic": lambda: Past(lambda self: self.norm.running_var[0]),
    "one scale": lambda: Past(lambda self: self.norm.weight[0]),
    "unstored statistics": Unstored,
    "transposed in place": TransposedInPlace,
    "all axes reversed": AllAxesReversed,
}


def found_in(network: nn.Module, shape: tuple[int, ...], signs: bool, **how: Any) -> None:
    """Derive, and verify whatever was found on random weights."""
    torch.manual_seed(0)
    inputs = torch.randn(shape, dtype=torch.float64)
    randomize(network)
    found = derive(network, inputs, **how)
    with torch.no_grad():
        before = network(inputs)
    if not isinstance(before, torch.Tensor):
        assert not any(
            axis.entry.startswith("b.") and axis.axis == 0 for g in found.groups for axis in g.axes
        )
        return
    verify(network, found, inputs, signs=signs)


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_permutations_hold(name: str) -> None:
    found_in(PERMUTATIONS[name](), VECTORS, signs=False)


@pytest.mark.parametrize("whole", [False, True], ids=["function", "module"])
def test_a_learned_mask_stays(whole: bool) -> None:
    found_in(LearnedMask(whole), TOKENS, signs=False)


def test_a_leaf_may_answer_in_a_dictionary() -> None:
    network = Between(lambda self, h: self.leaf(h)["y"], leaf=InADictionary())
    found_in(network, VECTORS, signs=False, leaf_modules=(InADictionary,))


def test_an_image_alone_is_normalized_by_its_channels() -> None:
    layers = nn.Conv1d(3, 6, 1), nn.InstanceNorm1d(6, affine=True), nn.Tanh(), nn.Conv1d(6, 4, 1)
    found_in(nn.Sequential(*layers), (3, 6), signs=False)


class Across(nn.Module):
    """Units on the last axis, and something that mixes or shifts another one."""

    def __init__(self, shift: nn.Module) -> None:
        super().__init__()
        self.a, self.shift, self.b = nn.Linear(6, 8), shift, nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.shift(torch.tanh(self.a(x))))


class Turned(nn.Module):
    """Applies a module to the tokens, which then stand last."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x.transpose(1, 2)).transpose(1, 2)


SIGNS = {
    "a bias": Turned(nn.Linear(5, 5)),
    "a layer norm": Turned(nn.LayerNorm(5)),
    "a gate": Turned(nn.Sequential(nn.Linear(5, 6, bias=False), nn.GLU(-1))),
    "a batch norm": nn.BatchNorm1d(5),
    "a group norm": nn.GroupNorm(1, 5),
    "an instance norm": nn.InstanceNorm1d(5, affine=True),
    "a constant at the end": nn.ConstantPad1d((0, 0), 0.5),
}


@pytest.mark.parametrize("name", SIGNS)
def test_what_shifts_another_axis_leaves_no_signs(name: str) -> None:
    found_in(Across(SIGNS[name]), TOKENS, signs=True)


def test_a_padded_image_has_no_signs() -> None:
    layers = nn.Conv2d(3, 8, 3), nn.Tanh(), nn.ConstantPad2d(1, 0.5), nn.Conv2d(8, 4, 3)
    found_in(nn.Sequential(*layers), (2, 3, 8, 8), signs=True)


def test_a_scale_that_is_also_added_has_no_signs() -> None:
    network = Between(lambda self, h: self.norm(h) + self.norm.weight, norm=nn.BatchNorm1d(8))
    found_in(network, VECTORS, signs=True)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool])
def test_integers_have_no_signs(dtype: torch.dtype) -> None:
    found_in(Between(lambda self, h: (h * 50).to(dtype).double()), VECTORS, signs=True)


def test_numbers_seen_as_others_have_no_symmetries() -> None:
    network = Between(lambda self, h: h.view(torch.int64).double() * 1e-18)
    found_in(network, VECTORS, signs=True)
