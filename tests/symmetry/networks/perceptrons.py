"""Perceptrons: gates, streams, maxima, tiny layers, operations without modules."""

import torch
from torch import nn
from torch.nn import functional

from tests.symmetry.networks.case import has_groups

VECTORS = (3, 6)


@has_groups(8, 5, inputs=VECTORS)
class ResidualStream(nn.Module):
    """A layer from the stream to itself has the stream (8) on both axes; another goes through 5."""

    def __init__(self):
        super().__init__()
        self.first, self.same = nn.Linear(6, 8), nn.Linear(8, 8)
        self.a, self.b = nn.Linear(8, 5), nn.Linear(5, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.first(x)
        x = x + torch.tanh(self.same(x))
        x += self.b(torch.relu(self.a(x)))
        return self.head(x)


@has_groups(8, inputs=VECTORS)
class Highway(nn.Module):
    """What is carried, what is added and the gate between them are the same units (8)."""

    def __init__(self):
        super().__init__()
        self.first, self.gate = nn.Linear(6, 8), nn.Linear(8, 8)
        self.inner, self.head = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        carry = torch.sigmoid(self.gate(x))
        return self.head(carry * torch.tanh(self.inner(x)) + (1 - carry) * x)


@has_groups(6, 5)
class GatedByHalves(nn.Module):
    """A layer of 12: unit u and its gate u + 6 move together (6); the same again with 5."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 12, 3), nn.Conv2d(6, 10, 3)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        values, gates = self.a(x).chunk(2, dim=1)
        x = functional.glu(self.b(values * torch.sigmoid(gates)), dim=1)
        return self.head(x.mean((-1, -2)))


@has_groups(5, inputs=VECTORS, possible=(3,))
class Maxout(nn.Module):
    """5 units, each the largest of 3: the units (5) as blocks; also the 3 that are alike."""

    def __init__(self):
        super().__init__()
        self.pieces, self.head = nn.Linear(6, 15), nn.Linear(5, 4)

    def forward(self, x):
        return self.head(self.pieces(x).view(-1, 5, 3).amax(dim=-1))


@has_groups(6, 10, 7)
class WithoutModules(nn.Module):
    """A convolution (6), a product on the right (10), an einsum (7), a product again."""

    def __init__(self):
        super().__init__()
        self.kernel, self.shift = nn.Parameter(torch.ones(6, 3, 3, 3)), nn.Parameter(torch.ones(6))
        self.right, self.einsum = nn.Parameter(torch.ones(6, 10)), nn.Parameter(torch.ones(10, 7))
        self.last, self.bias = nn.Parameter(torch.ones(7, 4)), nn.Parameter(torch.ones(4))

    def forward(self, x):
        x = functional.relu(functional.conv2d(x, self.kernel, self.shift, padding=1))
        x = torch.tanh(functional.adaptive_avg_pool2d(x, 1).flatten(1) @ self.right)
        x = functional.leaky_relu(torch.einsum("bi,ij->bj", x, self.einsum))
        return torch.matmul(x, self.last) + self.bias


@has_groups(8, 7, inputs=VECTORS)
class ElementwiseFunctions(nn.Module):
    """Whatever treats every unit alike keeps the units: 8 through two layers, then 7."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(6, 8)
        self.c, self.head = nn.Linear(8, 7), nn.Linear(7, 4)

    def forward(self, x):
        a, b = self.a(x).clamp(-2, 2), self.b(x).abs()
        x = torch.where(a > 0, torch.maximum(a, b), 0.1 * a) - torch.exp(-(b**2)) / 2
        return self.head(functional.softplus(self.c(x).square().neg()))


@has_groups(8, 5, inputs=VECTORS)
class SoftmaxOverUnits(nn.Module):
    """A softmax over the units keeps them apart (8), as does a norm over them (5)."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.head(functional.normalize(self.b(self.a(x).softmax(-1)), dim=-1))


@has_groups(8, 3, inputs=VECTORS)
class StackedBranches(nn.Module):
    """The sum of two stacked layers ties their units (8); a mean over units reads 3."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 4)
        self.pooled = nn.Linear(6, 3)

    def forward(self, x):
        hidden = torch.stack([self.a(x), self.b(x)]).sum(0)
        return self.head(torch.tanh(hidden)) + self.pooled(x).relu().mean(1, keepdim=True)


@has_groups(8, inputs=((3, 6), (3, 5)))
class TwoInputs(nn.Module):
    """A product of what comes from two inputs ties the units (8)."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 8), nn.Linear(5, 8), nn.Linear(8, 4)

    def forward(self, x, y):
        return self.head(torch.tanh(self.a(x)) * torch.sigmoid(self.b(y)))


@has_groups(8, 5, inputs=VECTORS)
class TwoOutputs(nn.Module):
    """Both outputs read the first layer (8); one has a layer of its own (5)."""

    def __init__(self):
        super().__init__()
        self.first, self.a = nn.Linear(6, 8), nn.Linear(8, 4)
        self.b, self.c = nn.Linear(8, 5), nn.Linear(5, 2)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.a(x), self.c(torch.relu(self.b(x)))


@has_groups(8, inputs=VECTORS)
class OneOutput(nn.Module):
    """The hidden layer (8); an output of one unit."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x))).squeeze(-1)


@has_groups(5, inputs=VECTORS)
class OneUnit(nn.Module):
    """A hidden layer of one unit is no group; the next one is (5)."""

    def __init__(self):
        super().__init__()
        self.one, self.next, self.out = nn.Linear(6, 1), nn.Linear(1, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.out(torch.tanh(self.next(torch.tanh(self.one(x)))))


@has_groups(6, possible=(5,))
class BilinearPooling(nn.Module):
    """The first layer (6); also the 5 channels whose products are the features, each of which
    touches a row and a column of the 5 x 5."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3)
        self.head = nn.Linear(25, 4)

    def forward(self, x):
        x = torch.tanh(self.b(torch.relu(self.a(x)))).flatten(2)
        return self.head((x @ x.transpose(1, 2) / x.shape[-1]).flatten(1))


@has_groups(7, inputs=(3, 5, 4), possible=(6,))
class Recurrent(nn.Module):
    """What follows the recurrent layer (7); that layer's own units and inputs may stay."""

    def __init__(self):
        super().__init__()
        self.first, self.lstm = nn.Linear(4, 5), nn.LSTM(5, 6, batch_first=True)
        self.hidden, self.out = nn.Linear(6, 7), nn.Linear(7, 3)

    def forward(self, x):
        states, _ = self.lstm(torch.tanh(self.first(x)))
        return self.out(torch.relu(self.hidden(states[:, -1])))
