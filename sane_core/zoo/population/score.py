"""Score many members at once on the same images."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.augment import Batches
from sane_core.zoo.population.cores import on_cores
from sane_core.zoo.population.initialize import Population
from sane_core.zoo.population.learner import cross_entropy, own_activations
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.operations import Pass
from sane_core.zoo.population.outputs import activations_of
from sane_core.zoo.population.train import groups_on, with_buffers
from sane_core.zoo.population.ways import WAYS, Way, supported_ways

PASS_NUMBERS = 2**18
"""Activations of a member's forward pass, about, so that those of a group stay near the core."""

ALONE_NUMBERS = 2**26
"""The same where members are run one by one: what counts there is to call few operations."""


def logits(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    pixels: torch.Tensor,
    members: Sequence[Member] = (),
    way: Way | None = None,
) -> torch.Tensor:
    """Run every member on its own images, as a trained network (batch-norm uses what it has kept).

    Args:
        architecture: Architecture of all members.
        population: Entries [members, ...].
        pixels: Network input [members, batch, channels, height, width], or without the first axis
            for the same images for every member.
        members: Who they are, where some have a non-linearity of their own.
        way: Runs them at once; the first that can if not given.

    Returns:
        Logits [members, batch, classes].
    """
    count = len(next(iter(population.values())))
    shapes = architecture.shapes()
    whole = with_buffers(architecture, population)
    run = way or WAYS[supported_ways(architecture)[0]](architecture)
    state = Pass(
        weights={name: whole[name] for name in shapes},
        buffers={name: values for name, values in whole.items() if name not in shapes},
        activations=own_activations(members, pixels.device),
    )
    return run(state, pixels.expand(count, *pixels.shape[-4:]))


def score(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    images: Images,
    batch: int | None = None,
    *,
    members: Sequence[Member] = (),
    way: str | None = None,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Score every member on the same images.

    Args:
        architecture: Architecture of all members.
        population: Entries [members, ...].
        images: Images to score on.
        batch: Images per forward pass; what stays near the core if not given.
        members: Who they are, where some have a non-linearity of their own.
        way: How they are run at once; the first that can if not given.
        device: Where.

    Returns:
        (correct, loss): bool [members, images] and mean cross-entropy float64 [members].
    """
    way = way or supported_ways(architecture)[0]
    numbers = ALONE_NUMBERS if way == "loop" else PASS_NUMBERS
    batch = batch or max(8, min(256, numbers // activations_of(architecture)))
    count = len(next(iter(population.values())))
    where = torch.device(device)
    population = with_buffers(architecture, population)
    dtype = next(values.dtype for values in population.values() if values.is_floating_point())
    batches = Batches(images, where, dtype, flip=False, crop=0)

    @torch.no_grad()
    def run(part: tuple[slice, Way]) -> tuple[np.ndarray, np.ndarray]:
        group, runs = part
        mine = {name: values[group].to(where) for name, values in population.items()}
        correct, loss = [], np.zeros(group.stop - group.start)
        for start in range(0, len(images.labels), batch):
            pixels = batches.numbers(batches.pixels[start : start + batch])
            labels = batches.labels[start : start + batch]
            outputs = logits(architecture, mine, pixels, members[group], runs)
            correct.append((outputs.argmax(2) == labels).cpu().numpy())
            loss += cross_entropy(outputs, labels).double().cpu().numpy() * len(labels)
        return np.concatenate(correct, axis=1), loss / len(images.labels)

    groups = groups_on(where, architecture, count, batch, way)
    parts = [(group, WAYS[way](architecture)) for group in groups]
    scores = on_cores(run, parts) if where.type == "cpu" else [run(part) for part in parts]
    correct, loss = zip(*scores, strict=True)
    return np.concatenate(correct), np.concatenate(loss)


def stack(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> Population:
    """Turn arrays [members, ...] into a population, in the architecture's entry order."""
    names = [*architecture.shapes(), *(name for name in architecture.buffers() if name in weights)]
    return {
        name: torch.from_numpy(np.require(weights[name], requirements=["C", "W"])) for name in names
    }
