"""Units whose order counts, where a careless derivation would permute them."""

import torch
from torch import nn
from torch.nn import functional

from tests.symmetry.networks.case import has_groups
from tests.symmetry.networks.convolutions import Head

VECTORS = (3, 6)


class Ordered(nn.Module):
    """An operation on 8 units whose order counts, then a layer of 7 that may be permuted."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)

    def ordered(self, x):
        raise NotImplementedError

    def forward(self, x):
        return self.out(torch.relu(self.hidden(self.ordered(torch.tanh(self.first(x))))))


@has_groups(7, inputs=VECTORS)
class RunningSum(Ordered):
    """Each unit becomes the sum of those before it."""

    def ordered(self, x):
        return x.cumsum(dim=-1)


@has_groups(7, inputs=VECTORS)
class RolledUnits(Ordered):
    """Each unit meets its neighbour."""

    def ordered(self, x):
        return x * torch.roll(x, 1, dims=1)


@has_groups(7, inputs=VECTORS)
class FlippedUnits(Ordered):
    """Each unit meets its mirror image."""

    def ordered(self, x):
        return x + x.flip(-1).exp()


@has_groups(7, inputs=VECTORS)
class PooledUnits(Ordered):
    """A pooling takes the units for places."""

    def ordered(self, x):
        return functional.max_pool1d(x.unsqueeze(1), 3, 1, padding=1).squeeze(1)


@has_groups(7, inputs=VECTORS)
class ConvolvedUnits(Ordered):
    """A convolution takes the units for places."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def ordered(self, x):
        return x * torch.sigmoid(self.conv(x.unsqueeze(1)).squeeze(1))


@has_groups(7, inputs=VECTORS)
class ChosenUnits(Ordered):
    """A constant index picks the units."""

    def __init__(self):
        super().__init__()
        self.register_buffer("chosen", torch.tensor([5, 0, 0, 3, 2, 7, 1, 4]))

    def ordered(self, x):
        return x[:, self.chosen]


@has_groups(7, inputs=VECTORS, possible=(2, 2, 2))
class FoldedUnits(Ordered):
    """The units become 4 x 2, transposed: at most the factors of 8 may be permuted."""

    def ordered(self, x):
        return x + x.view(-1, 4, 2).transpose(1, 2).reshape(-1, 8)


@has_groups(7, inputs=VECTORS)
class TriangleOfUnits(Ordered):
    """A triangle of the products of units."""

    def ordered(self, x):
        return (x.unsqueeze(1) * x.unsqueeze(2)).tril().sum(-1)


@has_groups(5)
class NeighbouringChannels(nn.Module):
    """The channels beside a channel normalize it: 6 that stay, then 5."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(3, alpha=1.0)
        self.b, self.head = nn.Conv2d(6, 5, 3), Head(5)

    def forward(self, x):
        return self.head(torch.relu(self.b(self.norm(self.a(x)))))


@has_groups(inputs=(3, 4, 6))
class TokensBesideUnits(nn.Module):
    """As many units as tokens, added to their own transpose: tokens stay, so the units do."""

    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.out(x + x.transpose(1, 2))


@has_groups(7, inputs=VECTORS)
class UnitsAreAnOutput(nn.Module):
    """The first layer's units are an output too, and stay; then 7."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)

    def forward(self, x):
        features = torch.relu(self.first(x))
        return self.out(torch.relu(self.hidden(features))), features


@has_groups(7, inputs=(3, 8))
class InputsAreAdded(nn.Module):
    """A shortcut from the inputs makes the units stay; then 7."""

    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(8, 8), nn.Linear(8, 7), nn.Linear(7, 4)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x + torch.tanh(self.first(x)))))


@has_groups(4, possible=(5,))
class RowsBecomeChannels(nn.Module):
    """6 rows of pixels become channels and stay; the 5 channels become rows, which a kernel of one
    row treats alike; the second convolution's 4 channels are blocks of 5."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 5, 3), nn.Conv2d(6, 4, (1, 3)), nn.Linear(20, 4)

    def forward(self, x):
        x = torch.relu(self.a(x)).transpose(1, 2)
        return self.fc(self.b(x).sum(-1).flatten(1))
