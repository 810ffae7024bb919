"""Train, score and fine-tune many members of one architecture at once (no loop over members).

A population is a dict of state-dict entries stacked along a first axis `[members, ...]`. Inside,
the images of a batch are the innermost axis, `[members, channels, height, width, batch]`: whatever
the layer, members are the batch of one matrix product, and every copy moves long rows.

Groups of members are trained side by side, one core each. Groups depend on the batch alone and no
operation reaches across members, so a result depends neither on timing nor on the number of cores.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

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
from sane_core.zoo.convolution import Convolution, max_pool
from sane_core.zoo.images import Images

Population = dict[str, torch.Tensor]
Item = TypeVar("Item")
Result = TypeVar("Result")

GROUP_IMAGES = 1024
"""Images a group has in flight: members x batch, so that its activations stay near the core."""

GROUP_MEMBERS = 32
"""Members of a group at most, so that populations of 64 already keep two cores busy."""

KEPT_BYTES = 2**25 - 2**16
"""Size of the block that teaches glibc to keep freed memory: just below the largest it heeds."""


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
    x = pixels.movedim(-4, -1).contiguous().expand(members, -1, -1, -1, -1)
    for i, operation in enumerate(architecture.operations):
        match operation:
            case Conv(padding=padding):
                weight = population[f"module_list.{i}.weight"]
                bias = population[f"module_list.{i}.bias"]
                x = Convolution.apply(x, weight, bias, padding)
            case Linear():
                weight = population[f"module_list.{i}.weight"]
                bias = population[f"module_list.{i}.bias"].unsqueeze(2)
                x = torch.baddbmm(bias, weight, x)
            case Activation(kind):
                x = ACTIVATIONS[kind](x)
            case MaxPool(size):
                x = max_pool(x, size)
            case Flatten():
                x = x.flatten(1, 3)
    return x.transpose(1, 2)


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
    trained = {name: values.detach().clone() for name, values in population.items()}
    groups = _groups(len(runs), batch)
    learners = [_Learner(architecture, trained, group, learning_rate) for group in groups]

    def advance(epoch: int, learner: _Learner) -> None:
        orders = [rng_for(seed, "order", run, epoch) for run in runs[learner.members]]
        order = np.stack([rng.permutation(len(labels)) for rng in orders])
        for chosen in torch.from_numpy(order).split(batch, dim=1):
            learner.step(pixels[chosen], labels[chosen])

    if on_epoch:
        on_epoch(0, trained)
    for epoch in range(1, epochs + 1):
        _on_cores(partial(advance, epoch), learners)
        if on_epoch:
            on_epoch(epoch, trained)
    return trained


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
    members = next(iter(population.values())).shape[0]

    @torch.no_grad()
    def run(group: slice) -> tuple[np.ndarray, np.ndarray]:
        mine = {name: values[group] for name, values in population.items()}
        correct, loss = [], np.zeros(group.stop - group.start)
        for start in range(0, len(images.labels), batch):
            pixels = torch.from_numpy(images.pixels[start : start + batch])
            labels = torch.from_numpy(images.labels[start : start + batch])
            outputs = logits(architecture, mine, pixels)
            correct.append((outputs.argmax(2) == labels).numpy())
            loss += cross_entropy(outputs, labels).double().numpy() * len(labels)
        return np.concatenate(correct, axis=1), loss / len(images.labels)

    correct, loss = zip(*_on_cores(run, _groups(members, batch)), strict=True)
    return np.concatenate(correct), np.concatenate(loss)


def stack(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> Population:
    """Turn arrays [members, ...] into a population, in the architecture's entry order."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(weights[name]))
        for name in architecture.shapes()
    }


class _Learner:
    """Some members of a population and their Adam; a step changes the population in place."""

    def __init__(
        self, architecture: Architecture, population: Population, members: slice, rate: float
    ) -> None:
        self.architecture = architecture
        self.members = members
        self.weights = {
            name: values[members].requires_grad_() for name, values in population.items()
        }
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=rate, fused=True)

    def step(self, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        outputs = logits(self.architecture, self.weights, pixels)
        cross_entropy(outputs, labels).sum().backward()
        self.optimizer.step()


def _groups(members: int, batch: int) -> list[slice]:
    """Cut members into groups of about equal size."""
    largest = min(GROUP_MEMBERS, max(1, GROUP_IMAGES // batch))
    bounds = np.linspace(0, members, -(-members // largest) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]


def _on_cores(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the work for all items on as many cores as PyTorch has threads, each item on one core.

    The operations are too small to be shared by cores; whole groups are not. One large block is
    freed first, because glibc hands smaller ones back to the system after every step until it has
    seen that, and faulting them in again cost a third of a step (batch 64).
    """
    torch.empty(KEPT_BYTES, dtype=torch.uint8)
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)
