"""Train, score and fine-tune many members of one architecture at once (no loop over members).

A population is a dict of state-dict entries stacked along a first axis `[members, ...]`. Members
share one graph: convolutions are one grouped convolution, linear layers one batched product. Every
operation and Adam's update act on each member alone, so a member's result does not depend on its
neighbours.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional

from sane_core.seeding import rng_for, seed_for
from sane_core.zoo.architectures import (
    ACTIVATIONS,
    Activation,
    Architecture,
    Conv,
    Flatten,
    Linear,
    MaxPool,
)
from sane_core.zoo.images import Images

Population = dict[str, torch.Tensor]


def initialize(architecture: Architecture, runs: list[int], seed: int) -> Population:
    """Draw every member from PyTorch's default initialization, U(±1/√fan_in).

    Args:
        architecture: What to initialize.
        runs: Run numbers; member i is drawn from `(seed, "initialize", runs[i])` alone.
        seed: The run's seed.

    Returns:
        Population of `len(runs)` members, float32.
    """
    shapes = architecture.shapes()
    population = {name: torch.empty(len(runs), *shape) for name, shape in shapes.items()}
    for i, run in enumerate(runs):
        generator = torch.Generator().manual_seed(seed_for(seed, "initialize", run))
        for name, values in population.items():
            weight_shape = shapes[name.rsplit(".", 1)[0] + ".weight"]
            bound = float(np.prod(weight_shape[1:])) ** -0.5
            values[i].uniform_(-bound, bound, generator=generator)
    return population


def logits(
    architecture: Architecture, population: Mapping[str, torch.Tensor], pixels: torch.Tensor
) -> torch.Tensor:
    """Run every member on its own images.

    Args:
        architecture: Architecture of all members.
        population: Entries [members, ...].
        pixels: float32 [members, batch, channels, height, width], or without the first axis for
            the same images for every member.

    Returns:
        Logits [members, batch, classes].
    """
    members = next(iter(population.values())).shape[0]
    if pixels.ndim == 4:
        x = pixels.repeat(1, members, 1, 1)
    else:
        x = pixels.transpose(0, 1).flatten(1, 2)
    for i, operation in enumerate(architecture.operations):
        match operation:
            case Conv(padding=padding):
                weight = population[f"module_list.{i}.weight"].flatten(0, 1)
                bias = population[f"module_list.{i}.bias"].flatten()
                x = functional.conv2d(x, weight, bias, padding=padding, groups=members)
            case Linear():
                weight = population[f"module_list.{i}.weight"]
                bias = population[f"module_list.{i}.bias"].unsqueeze(1)
                x = torch.baddbmm(bias, x, weight.transpose(1, 2))
            case Activation(kind):
                x = ACTIVATIONS[kind](x)
            case MaxPool(size):
                x = functional.max_pool2d(x, size)
            case Flatten():
                x = x.reshape(x.shape[0], members, -1).transpose(0, 1)
    return x


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return each member's mean cross-entropy in nats.

    Args:
        outputs: Logits [members, batch, classes].
        labels: int64 [members, batch], or [batch] for the same labels for every member.

    Returns:
        Loss [members].
    """
    labels = labels.expand(outputs.shape[:2])
    losses = functional.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.view(outputs.shape[:2]).mean(1)


def train(
    architecture: Architecture,
    population: Population,
    images: Images,
    *,
    runs: list[int],
    epochs: int,
    batch: int,
    learning_rate: float,
    seed: int,
    on_epoch: Callable[[int, Population], None] | None = None,
) -> Population:
    """Train all members at once with Adam at a constant step size.

    Member i sees its own batch order, drawn from `(seed, "order", runs[i], epoch)`. The last batch
    of an epoch is smaller if `batch` does not divide the number of images.

    Args:
        architecture: Architecture of all members.
        population: Start; not modified.
        images: Training images, shared.
        runs: Run numbers, one per member.
        epochs: Epochs to train.
        batch: Images per member and step.
        learning_rate: Adam's step size.
        seed: The run's seed.
        on_epoch: Called with (epoch, population) after each epoch, and with epoch 0 before the
            first; the population is live, copy what is kept.

    Returns:
        The trained population.
    """
    pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
    trained = {
        name: values.detach().clone().requires_grad_() for name, values in population.items()
    }
    optimizer = torch.optim.Adam(trained.values(), lr=learning_rate, fused=True)
    if on_epoch:
        on_epoch(0, _detached(trained))
    for epoch in range(1, epochs + 1):
        orders = [rng_for(seed, "order", run, epoch).permutation(len(labels)) for run in runs]
        order = torch.from_numpy(np.stack(orders))
        for chosen in order.split(batch, dim=1):
            optimizer.zero_grad()
            outputs = logits(architecture, trained, pixels[chosen])
            cross_entropy(outputs, labels[chosen]).sum().backward()
            optimizer.step()
        if on_epoch:
            on_epoch(epoch, _detached(trained))
    return _detached(trained)


@torch.no_grad()
def score(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    images: Images,
    batch: int = 256,
) -> tuple[np.ndarray, np.ndarray]:
    """Score every member on the same images.

    Args:
        architecture: Architecture of all members.
        population: Entries [members, ...].
        images: Images to score on.
        batch: Images per forward pass.

    Returns:
        (correct, loss): bool [members, images] and mean cross-entropy float64 [members].
    """
    correct = []
    loss = np.zeros(next(iter(population.values())).shape[0])
    for start in range(0, len(images.labels), batch):
        part = torch.from_numpy(images.pixels[start : start + batch])
        labels = torch.from_numpy(images.labels[start : start + batch])
        outputs = logits(architecture, population, part)
        correct.append((outputs.argmax(2) == labels).numpy())
        loss += cross_entropy(outputs, labels).double().numpy() * len(labels)
    return np.concatenate(correct, axis=1), loss / len(images.labels)


def stack(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> Population:
    """Turn arrays [members, ...] into a population, in the architecture's entry order."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(weights[name]))
        for name in architecture.shapes()
    }


def _detached(population: Population) -> Population:
    return {name: values.detach() for name, values in population.items()}
