"""Random chains of blocks: whatever is composed, what is found holds and everything is said."""

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sane_core.weights.symmetry.derive import derive
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.symmetry.verify import verify
from tests.symmetry.measure import NOTICED, change, randomize, turn, unsaid, without_one

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
KINDS = ("conv", "grouped", "depthwise", "residual", "concat", "norm", "shuffle", "gate", "pool")
ACTIVATIONS = (functional.leaky_relu, torch.tanh, functional.gelu, torch.sigmoid)
"""None of them can be dead: of units that are zero on every image, nothing would be noticed."""
CHANNELS = st.sampled_from((2, 4, 6))


class Piece(nn.Module):
    """One block of a chain; `width` is what it makes of `channels`."""

    def __init__(self, kind, channels, wish, activation):
        super().__init__()
        self.kind, self.activation = kind, activation
        self.width = {"conv": wish, "grouped": 2 * wish, "concat": channels + wish}.get(
            kind, channels
        )
        made = {
            "conv": (channels, self.width, 1),
            "grouped": (channels, self.width, 2),
            "depthwise": (channels, channels, channels),
            "residual": (channels, channels, 1),
            "concat": (channels, wish, 1),
            "gate": (channels, 2 * channels, 1),
        }
        if kind in made:
            c_in, c_out, groups = made[kind]
            self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, groups=groups)
        self.norm = nn.BatchNorm2d(channels) if kind == "norm" else nn.Identity()

    def forward(self, x):
        if self.kind == "shuffle":
            n, c, h, w = x.shape
            return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        if self.kind == "pool":
            return functional.max_pool2d(x, 3, stride=1, padding=1)
        if self.kind == "norm":
            return self.activation(self.norm(x))
        made = self.conv(x)
        if self.kind == "gate":
            values, gates = made.chunk(2, 1)
            return values * torch.sigmoid(gates)
        made = self.activation(made)
        if self.kind == "residual":
            return x + made
        return torch.cat([x, made], 1) if self.kind == "concat" else made


class Chain(nn.Module):
    """A stem, pieces, a flatten or mean, a hidden linear layer, outputs."""

    def __init__(self, first, pieces, flat):
        super().__init__()
        self.stem, self.flat = nn.Conv2d(2, first, 3, padding=1), flat
        built, width = [], first
        for kind, wish, activation in pieces:
            built.append(Piece(kind, width, wish, activation))
            width = built[-1].width
        self.pieces = nn.ModuleList(built)
        self.hidden, self.out = nn.Linear(width * (9 if flat else 1), 5), nn.Linear(5, 3)

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        for piece in self.pieces:
            x = piece(x)
        x = x.flatten(1) if self.flat else x.mean((2, 3))
        return self.out(torch.tanh(self.hidden(x)))


CHAINS = st.builds(
    Chain,
    CHANNELS,
    st.lists(st.tuples(st.sampled_from(KINDS), CHANNELS, st.sampled_from(ACTIVATIONS)), max_size=5),
    st.booleans(),
)
IMAGES = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@EXAMPLES
@given(chain=CHAINS, seed=st.integers(0, 99))
def test_what_is_found_in_a_chain_holds_alone_together_and_in_any_order(chain, seed):
    module = randomize(chain, seed)
    symmetries = derive(module, IMAGES)
    verify(module, symmetries, IMAGES, seed)
    assert not unsaid(module, symmetries)
    assert 5 in [group.size for group in symmetries.groups if group.name == "hidden"]
    drawn = random_permutations(symmetries.groups, 1, np.random.default_rng(seed))
    backwards = symmetries.groups[::-1]
    assert change(module, (IMAGES,), lambda weights: permute(weights, backwards, drawn)) <= 1e-9


@EXAMPLES
@given(chain=CHAINS, seed=st.integers(0, 99))
def test_signs_that_are_found_in_a_chain_may_flip(chain, seed):
    module = randomize(chain, seed)
    verify(module, derive(module, IMAGES), IMAGES, seed, signs=True)


@EXAMPLES
@given(chain=CHAINS, seed=st.integers(0, 99))
def test_forgetting_one_axis_in_a_chain_changes_the_function(chain, seed):
    module = randomize(chain, seed)
    for group in derive(module, IMAGES).groups:
        for entry, forgetful in without_one(group):
            assert turn(module, (IMAGES,), (forgetful,)) > NOTICED, f"{group.name} without {entry}"
