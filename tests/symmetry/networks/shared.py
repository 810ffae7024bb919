"""Weights that are used twice, or never, and constants beside them."""

import torch
from torch import nn
from torch.nn import functional

from tests.symmetry.networks.case import has_groups

VECTORS = (3, 6)


@has_groups(8, inputs=VECTORS)
class UsedTwice(nn.Module):
    """One layer after itself: its outputs are its inputs (8)."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.head(torch.tanh(self.again(torch.tanh(self.again(x)))))


@has_groups(8, inputs=VECTORS, invisible=("a.weight",))
class TwoNames(nn.Module):
    """One weight under two names, of two layers: their units are the same (8).

    A change of `a.weight` alone is undone when `b.weight` is loaded after it.
    """

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 8), nn.Linear(8, 4)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.b.weight = self.a.weight

    def forward(self, x):
        x = torch.relu(self.b(torch.tanh(self.a(torch.tanh(self.first(x))))))
        return self.head(x)


@has_groups(5, inputs=VECTORS)
class TransposedDecoder(nn.Module):
    """The decoder is the encoder transposed: the code (5); inputs and outputs stay."""

    def __init__(self):
        super().__init__()
        self.encoder, self.shift = nn.Linear(6, 5), nn.Parameter(torch.ones(6))

    def forward(self, x):
        return functional.linear(torch.tanh(self.encoder(x)), self.encoder.weight.t(), self.shift)


@has_groups(8, inputs=((3, 6), (3, 6)), possible=(7,))
class Siamese(nn.Module):
    """The same two layers on two inputs (8); also the units whose angle is the output (7)."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7))

    def forward(self, x, y):
        return functional.cosine_similarity(self.net(x), self.net(y), dim=-1)


@has_groups(8, inputs=VECTORS)
class UnusedLayer(nn.Module):
    """The hidden layer (8); a layer that nothing reads stays."""

    def __init__(self):
        super().__init__()
        self.hidden, self.spare, self.out = nn.Linear(6, 8), nn.Linear(6, 6), nn.Linear(8, 4)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))


@has_groups(7, inputs=(3, 4, 6), possible=(8,))
class StoredPositions(nn.Module):
    """Constants in the state dict are an axis like any other (8), or make theirs stay; then 7."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)
        self.register_buffer("positions", torch.randn(1, 4, 8))

    def forward(self, x):
        x = torch.tanh(self.first(x) + self.positions)
        return self.out(torch.relu(self.hidden(x)).mean(1))


@has_groups(7, inputs=(3, 4, 6))
class PositionsOutside(nn.Module):
    """Constants that the state dict does not hold cannot be permuted: only 7 may be."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)
        self.register_buffer("positions", torch.randn(1, 4, 8), persistent=False)

    def forward(self, x):
        x = torch.tanh(self.first(x) + self.positions)
        return self.out(torch.relu(self.hidden(x)).mean(1))


@has_groups(7, inputs=VECTORS)
class ConstantsInTheForward(nn.Module):
    """The same, where the constants are made on the way."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)

    def forward(self, x):
        x = torch.tanh(self.first(x) + torch.arange(8.0))
        return self.out(torch.relu(self.hidden(x)))


@has_groups(7, inputs=VECTORS, possible=(8,))
class IntegerParameter(nn.Module):
    """Integers that scale the units move with them (8), or make them stay; then 7."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)
        self.exponents = nn.Parameter(torch.arange(8), requires_grad=False)

    def forward(self, x):
        x = torch.tanh(self.first(x) * self.exponents)
        return self.out(torch.relu(self.hidden(x)))
