"""Small populations, and the same members trained one by one in plain PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from sane_core.architectures.activations import MODULES
from sane_core.images.images import Images
from sane_core.seeding import rng_for, seed_for
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import Member

SEED = 3
CLASSES = 4


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The networks are tiny: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_member():
    """Make a member that has nothing of its own but what is said."""

    def make(run, **own):
        plain = {
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "initialization": "default",
            "activation": None,
            "dropout": None,
        }
        return Member(run, **{**plain, **own})

    return make


@pytest.fixture(scope="session")
def make_images():
    """Draw bytes for an architecture, normalized, with labels below `CLASSES`."""

    def make(architecture, count, classes=CLASSES, seed=0):
        rng = np.random.default_rng(seed)
        channels = architecture.input_shape[0]
        return Images(
            rng.integers(0, 256, (count, *architecture.input_shape), np.uint8),
            rng.integers(0, classes, count),
            1 / 255,
            (0.4,) * channels,
            (0.3,) * channels,
        )

    return make


@pytest.fixture(scope="session")
def in_float64():
    """Draw a population and widen it; counters stay integers."""

    def draw(architecture, members, bias=None):
        drawn = initialize(architecture, members, SEED, bias)
        return {
            name: values.double() if values.is_floating_point() else values
            for name, values in drawn.items()
        }

    return draw


class Dropped(nn.Module):
    """Dropout by what a member draws for itself."""

    def __init__(self, share, generator):
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, x):
        if not (self.training and self.share):
            return x
        draws = torch.empty_like(x).uniform_(generator=self.generator)
        return x * (draws >= self.share) / (1 - self.share)


def numbers(images):
    """Return the network's input in float64."""
    shape = (-1, 1, 1)
    pixels = images.pixels * images.scale
    pixels = pixels - np.reshape(images.mean, shape) if images.mean else pixels
    return torch.from_numpy(pixels / np.reshape(images.std, shape) if images.std else pixels)


def own_module(architecture, member, state, generator):
    """Build the module a member is, with its own dropout and non-linearity."""
    net = architecture.build()
    for name, child in list(net.named_modules()):
        if isinstance(child, nn.Dropout):
            share = child.p if member.dropout is None else member.dropout
            net.set_submodule(name, Dropped(share, generator))
        elif member.activation and type(child) in MODULES.values():
            net.set_submodule(name, MODULES[member.activation]())
    net.to(next(iter(state.values())).dtype)
    net.load_state_dict(state)
    return net


def optimizer_for(net, member, config):
    chosen = {"lr": member.learning_rate, "weight_decay": member.weight_decay}
    if config.optimizer == "sgd":
        return torch.optim.SGD(net.parameters(), momentum=config.momentum, **chosen)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[config.optimizer](net.parameters(), **chosen)


@pytest.fixture(scope="session")
def train_alone():
    """Train one member as a plain module with PyTorch's own optimizer, on the same batches."""

    def train(architecture, member, state, images, config, seed=SEED):
        generator = torch.Generator()
        net = own_module(architecture, member, state, generator).train()
        optimizer = optimizer_for(net, member, config)
        pixels, labels = numbers(images), torch.from_numpy(images.labels)
        steps = config.epochs * -(-len(labels) // config.batch)
        schedule = None
        if config.schedule == "onecycle":
            schedule = OneCycleLR(optimizer, member.learning_rate, steps)
        for epoch in range(1, config.epochs + 1):
            generator.manual_seed(seed_for(seed, "dropout", member.run, epoch))
            order = rng_for(seed, "order", member.run, epoch).permutation(len(labels))
            for chosen in torch.from_numpy(order).split(config.batch):
                optimizer.zero_grad()
                functional.cross_entropy(net(pixels[chosen]), labels[chosen]).backward()
                optimizer.step()
                if schedule:
                    schedule.step()
        return net.state_dict()

    return train


@pytest.fixture(scope="session")
def plain_logits():
    """Return a member's logits as a trained plain module."""

    def run(architecture, member, population, place, images):
        state = {name: values[place] for name, values in population.items()}
        net = own_module(architecture, member, state, None).eval()
        with torch.no_grad():
            return net(numbers(images).to(next(iter(state.values())).dtype))

    return run
