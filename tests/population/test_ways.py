"""A way runs any network as its module runs, or refuses it; it never runs another one."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.zoo.population.graph import Graph
from sane_core.zoo.population.operations import Unsupported
from sane_core.zoo.population.score import logits
from sane_core.zoo.population.train import train
from sane_core.zoo.population.ways import WAYS, supported_ways
from schemas.config.training import TrainingConfig


class Net(nn.Module):
    """A user's own network around one function of features [batch, 4, 6, 6]."""

    def __init__(self, middle, width, layer):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.middle = middle
        if layer:
            self.a = layer()
        self.last = nn.Linear(width, 3)

    def forward(self, images):
        features = self.middle(self, self.first(images))
        return self.last(torch.flatten(features, start_dim=1))


class Shift(nn.Module):
    """A weight that no layer has, named as a method of tensors is."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.ones(()))


def trains_otherwise(net, x):
    return x if net.training else 2 * x


def looks_at_values(net, x):
    return x if x.sum() > 0 else -x


RUN = {
    "gelu-tanh": (lambda net, x: net.a(x), 144, lambda: nn.GELU(approximate="tanh")),
    "leaky": (lambda net, x: net.a(x), 144, lambda: nn.LeakyReLU(0.4)),
    "gelu-function": (lambda net, x: functional.gelu(x, approximate="tanh"), 144, None),
    "average-border": (
        lambda net, x: net.a(x),
        64,
        lambda: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False),
    ),
    "max-border": (lambda net, x: functional.max_pool2d(x, 3, stride=2, padding=1), 36, None),
    "mean-of-means": (lambda net, x: x.mean(-1).mean(-1), 4, None),
    "mean-of-two": (lambda net, x: x.mean((-2, -1)), 4, None),
    "adaptive": (lambda net, x: functional.adaptive_avg_pool2d(x, (3, 2)), 24, None),
    "added": (lambda net, x: x + torch.relu(x) + torch.tanh(x), 144, None),
    "joined": (lambda net, x: torch.cat((x, torch.sigmoid(x)), 1), 288, None),
    "joined-rows": (lambda net, x: torch.cat([x, x[:, :, ::2]], 2), 216, None),
    "padded": (lambda net, x: functional.pad(x, (1, 0, 2, 1)), 252, None),
    "strided": (lambda net, x: net.a(x), 27, lambda: nn.Conv2d(4, 3, 2, stride=2, bias=False)),
    "beyond": (lambda net, x: net.a(x), 200, lambda: nn.Conv2d(4, 2, 3, padding=3)),
    "last-columns": (lambda net, x: x[..., 0], 24, None),
    "batch-index": (lambda net, x: x[:, ..., 0], 24, None),
    "positional": (lambda net, x: functional.avg_pool2d(x, 2, 2), 36, None),
    "silu-function": (lambda net, x: functional.silu(x), 144, None),
    "scaled": (lambda net, x: 0.5 * x - 1, 144, None),
    "turned": (lambda net, x: x.transpose(2, 3), 144, None),
    "depthwise": (lambda net, x: net.a(x), 64, lambda: nn.Conv2d(4, 4, 3, groups=4)),
    "dilated": (lambda net, x: net.a(x), 16, lambda: nn.Conv2d(4, 4, 3, dilation=2)),
    "oblong": (lambda net, x: net.a(x), 96, lambda: nn.Conv2d(4, 4, (1, 3))),
    "same": (lambda net, x: net.a(x), 144, lambda: nn.Conv2d(4, 4, 3, padding="same")),
    "mirrored": (
        lambda net, x: net.a(x),
        144,
        lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ),
    "softmax-pool": (lambda net, x: x.flatten(2).softmax(2).amax(2), 4, None),
    "group-norm": (lambda net, x: net.a(x), 144, lambda: nn.GroupNorm(2, 4)),
    "own-mean": (lambda net, x: x + net.a.mean, 144, Shift),
    "other-when-trained": (trains_otherwise, 144, None),
    "looks-at-values": (looks_at_values, 144, None),
}
"""What a user's network may do between its layers: (function, features, layer)."""

REFUSED = {
    "last-columns",
    "batch-index",
    "positional",
    "silu-function",
    "scaled",
    "turned",
    "depthwise",
    "dilated",
    "oblong",
    "same",
    "mirrored",
    "softmax-pool",
    "group-norm",
    "own-mean",
    "other-when-trained",
    "looks-at-values",
}
"""What `patches` need not know; it may learn it, but then rightly."""


def users(name):
    return Architecture(f"users:{name}", (1, 6, 6), lambda: Net(*RUN[name]))


@pytest.mark.parametrize("name", RUN)
def test_a_users_network_gives_its_own_logits_by_every_way_or_is_refused(
    name, make_member, make_images, in_float64, plain_logits
):
    architecture = users(name)
    ways = supported_ways(architecture)
    assert name in REFUSED or ways[0] == "patches"
    members = [make_member(run) for run in (0, 1, 2)]
    population, images = in_float64(architecture, members), make_images(architecture, 5, classes=3)
    pixels = torch.from_numpy(images.numbers()).double()
    for way in ways:
        if (name, way) == ("looks-at-values", "vmap"):
            continue  # torch.func says so itself
        got = logits(architecture, population, pixels, way=WAYS[way](architecture))
        for place, member in enumerate(members):
            expected = plain_logits(architecture, member, population, place, images)
            torch.testing.assert_close(got[place], expected, rtol=0, atol=1e-6)


def test_patches_refuse_a_transformer_and_say_what_they_miss():
    architecture = architecture_named("vit[size=8,dim=4,depth=1,heads=2,hidden=6]")
    assert supported_ways(architecture) == ["vmap", "loop"]
    with pytest.raises(Unsupported, match="cannot be run for many members at once here"):
        Graph(architecture)


@pytest.mark.parametrize("name", ["other-when-trained", "looks-at-values"])
def test_patches_refuse_what_no_graph_can_show(name):
    with pytest.raises(Unsupported, match="Net cannot be run for many members at once here"):
        Graph(users(name))


class Tiny(nn.Module):
    """Rows without content of all layers but one."""

    def __init__(self):
        super().__init__()
        self.rows = nn.GRU(6, 3, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(3, 3)

    def forward(self, images):
        return self.last(self.drop(self.rows(images[:, 0])[0][:, -1]))


def test_a_network_whose_layers_return_several_tensors_is_trained_by_the_loop(
    make_member, make_images, in_float64, train_alone
):
    architecture = Architecture("users:rows", (1, 6, 6), Tiny)
    members, images = [make_member(0), make_member(4)], make_images(architecture, 5, classes=3)
    config = TrainingConfig(batch=3, epochs=2)
    start = in_float64(architecture, members)
    trained = train(architecture, start, images, members, config, 3, way="loop")
    for place, member in enumerate(members):
        state = {name: values[place] for name, values in start.items()}
        for name, values in train_alone(architecture, member, state, images, config).items():
            torch.testing.assert_close(trained[name][place], values, rtol=0, atol=1e-9)


def test_the_global_generator_is_left_as_it_was(make_member, make_images, in_float64):
    architecture = architecture_named("resnet18[classes=4,width=1,size=8]")
    members, images = [make_member(0)], make_images(architecture, 4)
    before = torch.get_rng_state()
    start = in_float64(architecture, members)
    bare = {name: start[name] for name in architecture.shapes()}
    for way in ("patches", "vmap", "loop"):
        config = TrainingConfig(batch=4, epochs=1)
        train(architecture, bare, images, members, config, 3, way=way)
    assert torch.equal(torch.get_rng_state(), before)


def test_activations_are_given_for_all_members_or_for_none(make_member, make_images, in_float64):
    architecture = architecture_named("digits-cnn[classes=4]")
    members = [make_member(0, activation="relu"), make_member(1)]
    start, images = in_float64(architecture, members), make_images(architecture, 4)
    with pytest.raises(ValueError, match="activation must be given for all members or for none"):
        train(architecture, start, images, members, TrainingConfig(epochs=1), 3)


def test_a_dropout_that_would_drop_nothing_is_refused(make_member, make_images, in_float64):
    architecture = architecture_named("digits-cnn[classes=4]")
    members = [make_member(0, dropout=0.1)]
    start, images = in_float64(architecture, members), make_images(architecture, 4)
    with pytest.raises(ValueError, match="dropout of digits-cnn.* it has no dropout layer"):
        train(architecture, start, images, members, TrainingConfig(epochs=1), 3)


def test_an_activation_that_would_change_nothing_is_refused(make_member, make_images, in_float64):
    architecture = users("silu-function")
    members = [make_member(0, activation="relu")]
    start, images = in_float64(architecture, members), make_images(architecture, 4, classes=3)
    with pytest.raises(ValueError, match="activation of users:silu-function must not be given"):
        train(architecture, start, images, members, TrainingConfig(epochs=1), 3, way="loop")
