"""A convolution that is pooled at once, for images that all members share, is what the two are."""

import pytest
import torch
from torch import nn

from sane_core.architectures.architecture import Architecture
from sane_core.zoo.population import operations
from sane_core.zoo.population.score import logits
from sane_core.zoo.population.ways import WAYS

LAYERS = {
    "plain": (lambda: nn.Conv2d(2, 4, 3), lambda: nn.MaxPool2d(2)),
    "leaves-rows-out": (lambda: nn.Conv2d(2, 4, 3), lambda: nn.MaxPool2d(3)),
    "padded-strided": (
        lambda: nn.Conv2d(2, 4, 3, stride=2, padding=2, bias=False),
        lambda: nn.MaxPool2d(2),
    ),
}
OTHERS = {
    "overlapping": (lambda: nn.Conv2d(2, 4, 3), lambda: nn.MaxPool2d(3, 2)),
    "bordered": (lambda: nn.Conv2d(2, 4, 3), lambda: nn.MaxPool2d(2, padding=1)),
    "average": (lambda: nn.Conv2d(2, 4, 3), lambda: nn.AvgPool2d(2)),
}


class Net(nn.Module):
    """A convolution, a pooling, and logits; perhaps with a way around the pooling."""

    def __init__(self, convolution, pooling, around=False):
        super().__init__()
        self.convolution, self.pooling, self.around = convolution(), pooling(), around
        self.average = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(4, 3)

    def forward(self, images):
        features = self.convolution(images)
        pooled = self.average(self.pooling(features))
        if self.around:
            pooled = pooled + self.average(features)
        return self.last(pooled.flatten(1))


@pytest.fixture
def pooled_at_once(monkeypatch):
    """Count how often images were pooled at once."""
    calls, real = [], operations.convolve_and_pool

    def spy(*args):
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(operations, "convolve_and_pool", spy)
    return calls


def answers(name, members=3, images=5, around=False):
    """Return logits of all members by patches, and by their own modules."""

    def net():
        return Net(*(LAYERS | OTHERS)[name], around)

    architecture = Architecture(f"users:pooled-{name}-{around}", (2, 9, 11), net)
    modules = [net().double() for _ in range(members)]
    population = {
        name: torch.stack([dict(module.named_parameters())[name].detach() for module in modules])
        for name, _ in modules[0].named_parameters()
    }
    pixels = torch.rand(images, 2, 9, 11, dtype=torch.float64) - 0.5
    got = logits(architecture, population, pixels, way=WAYS["patches"](architecture))
    return got, torch.stack([module(pixels) for module in modules])


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_without_a_gradient_they_are_taken_together_and_give_the_same(
    name, members, pooled_at_once
):
    with torch.no_grad():
        got, expected = answers(name, members)
    assert len(pooled_at_once) == 1
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [*LAYERS, *OTHERS])
def test_with_a_gradient_or_other_windows_each_layer_runs_by_itself(name, pooled_at_once):
    with torch.set_grad_enabled(name in LAYERS):
        got, expected = answers(name)
    assert not pooled_at_once
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_a_convolution_whose_answers_go_elsewhere_as_well_runs_by_itself(pooled_at_once):
    with torch.no_grad():
        got, expected = answers("plain", around=True)
    assert not pooled_at_once
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
