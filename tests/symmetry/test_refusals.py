"""What cannot be followed is refused with a way out, or stays and says why."""

import inspect

import pytest
import torch
from torch import nn

from sane_core.weights.symmetry.derive import derive
from sane_core.weights.symmetry.groups import Symmetries
from sane_core.weights.symmetry.verify import verify
from tests.symmetry.measure import randomize, sizes, unsaid

VECTORS = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Moody(nn.Module):
    """Decides by the numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x):
        if x.sum() > 0:
            return self.a(x)
        return self.b(x)


class WithMood(nn.Module):
    """A layer before a module that decides by the numbers, and two after it."""

    def __init__(self):
        super().__init__()
        self.first, self.moody = nn.Linear(6, 8), Moody()
        self.hidden, self.out = nn.Linear(5, 7), nn.Linear(7, 4)

    def forward(self, x):
        x = self.moody(torch.relu(self.first(x)))
        return self.out(torch.relu(self.hidden(x)))


class Between(nn.Module):
    """An operation on the last axis of 8 units, then two layers that have nothing to do with it."""

    def __init__(self, operation, units=8):
        super().__init__()
        self.first, self.operation = nn.Linear(6, 8), operation
        self.hidden, self.out = nn.Linear(units, 7), nn.Linear(7, 4)

    def forward(self, x):
        x = self.operation(torch.tanh(self.first(x)))
        return self.out(torch.relu(self.hidden(x)))


def reasons(symmetries: Symmetries, entry: str, axis: int) -> list[str]:
    return [f.reason for f in symmetries.fixed if (f.entry, f.axis) == (entry, axis)]


def line_of(function, text: str) -> int:
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if text in line)


def test_a_decision_by_numbers_is_refused_with_its_line_and_two_ways_out():
    with pytest.raises(ValueError, match="must be traceable") as refused:
        derive(WithMood().double(), VECTORS)
    said = str(refused.value)
    assert "WithMood" in said
    assert __file__ in said
    assert f"line {line_of(Moody.forward, 'if x.sum()')} " in said
    assert "leaf_modules" in said
    assert "PermutationGroup" in said


def test_a_leaf_module_stays_and_the_rest_is_found():
    module = randomize(WithMood())
    symmetries = derive(module, VECTORS, leaf_modules=(Moody,))
    assert sizes(symmetries) == {7: 1}
    assert not unsaid(module, symmetries)
    for entry in ("moody.a.weight", "moody.b.weight", "moody.b.bias", "first.weight"):
        assert any("Moody" in reason for reason in reasons(symmetries, entry, 0)), entry
    verify(module, symmetries, VECTORS)


def test_a_leaf_module_that_could_be_traced_stays_too():
    module = randomize(Between(nn.Sequential(nn.Linear(8, 8), nn.ReLU())))
    assert sizes(derive(module, VECTORS)) == {8: 2, 7: 1}
    symmetries = derive(module, VECTORS, leaf_modules=(nn.Sequential,))
    assert sizes(symmetries) == {7: 1}
    assert any("Sequential" in reason for reason in reasons(symmetries, "operation.0.weight", 1))


@pytest.mark.parametrize(
    ("operation", "units", "name"),
    [
        (lambda x: torch.sort(x, dim=-1).values, 8, "sort"),
        (lambda x: torch.fft.rfft(x).abs(), 5, "rfft"),
        (lambda x: torch.topk(x, 5, dim=-1)[0], 5, "topk"),
        (lambda x: torch.vander(x[:, 0], 8) + x.median(), 8, "vander"),
        (lambda x: torch.cumprod(x, -1), 8, "cumprod"),
    ],
    ids=["sort", "rfft", "topk", "vander", "cumprod"],
)
def test_an_operation_that_mixes_units_is_named_and_the_rest_is_found(operation, units, name):
    module = randomize(Between(operation, units))
    symmetries = derive(module, VECTORS)
    assert sizes(symmetries) == {7: 1}
    touched = reasons(symmetries, "first.weight", 0) + reasons(symmetries, "hidden.weight", 1)
    assert any(name in reason for reason in touched)
    assert not unsaid(module, symmetries)
    verify(module, symmetries, VECTORS)


def own_function(x):
    """A function of the user's, which torch.fx does not look into."""
    return x.cumsum(-1)


torch.fx.wrap("own_function")


def test_a_users_own_function_is_named_and_the_rest_is_found():
    module = randomize(Between(lambda x: own_function(x)))
    symmetries = derive(module, VECTORS)
    assert sizes(symmetries) == {7: 1}
    assert any("own_function" in reason for reason in reasons(symmetries, "first.weight", 0))


class OwnLinear(nn.Linear):
    """Has the name and the weights of a layer, but reverses its units."""

    def forward(self, x):
        return super().forward(x).flip(-1).cumsum(-1)


def test_a_module_is_not_taken_for_what_it_inherits_from():
    module = randomize(Between(OwnLinear(8, 8)))
    symmetries = derive(module, VECTORS)
    assert sizes(symmetries) == {8: 1, 7: 1}
    verify(module, symmetries, VECTORS)


def test_a_hook_is_not_overlooked():
    module = randomize(Between(nn.Linear(8, 8)))
    module.operation.register_forward_hook(lambda _, __, output: output.cumsum(-1))
    symmetries = derive(module, VECTORS)
    verify(module, symmetries, VECTORS)
    assert sizes(symmetries)[7] == 1


def test_a_parametrization_is_not_overlooked():
    module = Between(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))).double().eval()
    symmetries = derive(module, VECTORS)
    verify(module, symmetries, VECTORS)
    assert sizes(symmetries)[7] == 1


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="WithMood|Between"):
        derive(Between(torch.relu), torch.zeros(3, 5))


def test_a_network_without_weights_has_no_symmetries():
    assert derive(nn.ReLU(), VECTORS) == Symmetries(())
