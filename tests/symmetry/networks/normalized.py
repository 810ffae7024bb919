"""What normalizes over channels, over some of them, or over more than channels."""

import torch
from torch import nn

from tests.symmetry.networks.case import has_groups
from tests.symmetry.networks.convolutions import Head


@has_groups(6, 4, 2)
class GroupNormResNet(nn.Module):
    """The inside of the block, normalized as one (6); the stream of 8 is normalized in 4 groups:
    the groups (4), and the two channels that are alike in each (2)."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.a, self.norm_a = nn.Conv2d(8, 6, 3, padding=1), nn.GroupNorm(1, 6)
        self.b, self.norm_b = nn.Conv2d(6, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.head = Head(8)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.norm_b(self.b(torch.relu(self.norm_a(self.a(x)))))
        return self.head(torch.relu(x))


@has_groups(6, 5)
class InstanceNorm(nn.Module):
    """Two convolutions (6, 5); without biases, which the norm would take away again."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 6, 3, bias=False)
        self.norm_a = nn.InstanceNorm2d(6, affine=True)
        self.b = nn.Conv2d(6, 5, 3, bias=False)
        self.norm_b = nn.InstanceNorm2d(5, affine=True, track_running_stats=True)
        self.head = Head(5)

    def forward(self, x):
        x = torch.tanh(self.norm_a(self.a(x)))
        return self.head(torch.tanh(self.norm_b(self.b(x))))


@has_groups(6, 10)
class ConvNeXt(nn.Module):
    """The stream (6), channels first and last by turns, and the block's inside (10)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 2, stride=2)
        self.depthwise = nn.Conv2d(6, 6, 7, padding=3, groups=6)
        self.norm = nn.LayerNorm(6)
        self.widen, self.narrow = nn.Linear(6, 10), nn.Linear(10, 6)
        self.gamma = nn.Parameter(torch.ones(6))
        self.last, self.fc = nn.LayerNorm(6), nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem(x)
        hidden = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        hidden = self.gamma * self.narrow(nn.functional.gelu(self.widen(hidden)))
        x = x + hidden.permute(0, 3, 1, 2)
        return self.fc(self.last(x.mean([-2, -1])))


@has_groups(5)
class NormOverTheMap(nn.Module):
    """A layer norm over channels, rows and columns has a scale for each: its first axis moves."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 5, 3), nn.LayerNorm([5, 6, 6])
        self.head = Head(5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))))


@has_groups(8, 12, inputs=(3, 6))
class RootMeanSquare(nn.Module):
    """A norm written by hand over the stream (8); the gated inside (12)."""

    def __init__(self):
        super().__init__()
        self.first, self.scale = nn.Linear(6, 8), nn.Parameter(torch.ones(8))
        self.gate, self.up = nn.Linear(8, 12, bias=False), nn.Linear(8, 12, bias=False)
        self.down, self.head = nn.Linear(12, 8, bias=False), nn.Linear(8, 4)

    def forward(self, x):
        x = self.first(x)
        ready = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        x = x + self.down(nn.functional.silu(self.gate(ready)) * self.up(ready))
        return self.head(torch.tanh(x))


@has_groups(8, inputs=(3, 6))
class WeightNorm(nn.Module):
    """Weights that are computed: a direction, normalized per unit, times a length (8)."""

    def __init__(self):
        super().__init__()
        self.direction = nn.Parameter(torch.randn(8, 6))
        self.length, self.shift = nn.Parameter(torch.randn(8, 1)), nn.Parameter(torch.randn(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        weight = self.length * self.direction / self.direction.norm(dim=1, keepdim=True)
        return self.head(torch.relu(nn.functional.linear(x, weight, self.shift)))
