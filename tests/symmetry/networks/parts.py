"""Units that are parts of an axis, or lie on it twice."""

import torch
from torch import nn

from tests.symmetry.networks.case import has_groups

VECTORS = (3, 6)


@has_groups(3, 5, inputs=VECTORS)
class SplitAndSwapped(nn.Module):
    """A layer of 3 + 5 units, put together again in the other order: each part is a group."""

    def __init__(self):
        super().__init__()
        self.a, self.head = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        few, many = torch.split(self.a(x), [3, 5], dim=1)
        return self.head(torch.cat([torch.relu(many), torch.tanh(few)], dim=-1))


@has_groups(3, 2, 3, inputs=VECTORS)
class OverlappingSlices(nn.Module):
    """Units 0 to 4 and 3 to 7 are read: those read once (3, 3) and those read twice (2)."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, x):
        x = torch.tanh(self.a(x))
        return self.b(x[:, :5]) + self.c(x[:, 3:])


@has_groups(inputs=VECTORS, possible=(4, 4))
class EverySecondUnit(nn.Module):
    """Units 0, 2, 4, 6 of eight are squared: they could be a group, and the others another."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        x = self.a(x)
        return self.b(x[..., ::2].square()) + self.c(torch.tanh(x[..., 1::2]))


@has_groups(8, inputs=VECTORS)
class BothSigns(nn.Module):
    """The rectified units and their opposites stand side by side: each unit twice (8)."""

    def __init__(self):
        super().__init__()
        self.a, self.head = nn.Linear(6, 8), nn.Linear(16, 4)

    def forward(self, x):
        x = self.a(x)
        return self.head(torch.cat([torch.relu(x), torch.relu(-x)], dim=1))


@has_groups(6, inputs=VECTORS)
class EmptyLayer(nn.Module):
    """A layer without units beside one of 6."""

    def __init__(self):
        super().__init__()
        self.a, self.nothing = nn.Linear(6, 6), nn.Linear(6, 0)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return self.head(torch.relu(torch.cat([self.a(x), self.nothing(x)], 1)))


@has_groups(4, 3, inputs=VECTORS)
class OuterProduct(nn.Module):
    """Every product of 4 and 3 units, flattened: blocks of 3 (4), and units that recur (3)."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 4), nn.Linear(6, 3), nn.Linear(12, 4)

    def forward(self, x):
        a, b = torch.tanh(self.a(x)), torch.relu(self.b(x))
        return self.head((a.unsqueeze(2) * b.unsqueeze(1)).flatten(1))
