"""Score many members at once on the same images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.augment import Batches
from sane_core.zoo.population.cores import evenly, on_cores
from sane_core.zoo.population.initialize import Population
from sane_core.zoo.population.learner import cross_entropy, own_activations
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.operations import Pass
from sane_core.zoo.population.outputs import activations_of, largest_patches
from sane_core.zoo.population.settled import way_to_score
from sane_core.zoo.population.train import groups_on, with_buffers
from sane_core.zoo.population.ways import WAYS, Way, supported_ways

PASS_NUMBERS = 2**18
"""Activations of a member's forward pass, about, so that those of a group stay near the core."""

MANY_NUMBERS = 2**26
"""The same where members are run one by one, or on a GPU: what counts there is to call few
operations."""

GPU_NUMBERS = 2**30
"""Numbers, about, that members run together on a GPU have there at once (4 GiB)."""

FORWARD_NUMBERS = 2**22
"""Activations, about, of members that `patches` runs together on a CPU, forward only. That is more
than stays near the core, but images are cut into patches once for all of them: 200 MNIST CNNs take
two thirds of the time in groups of 16 that they take in groups of 4, digits CNNs 0.7."""

FORWARD_GROUPS, FORWARD_MEMBERS = 8, 4
"""Fewer members than that are run together where there would be less than eight groups, but four at
least: for many cores, and the same on all machines."""

LOOPED_MEMBERS = 16
"""Members of a group at most where they are run one by one; fewer where cores would be idle."""


def logits(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    pixels: torch.Tensor,
    members: Sequence[Member] = (),
    way: Way | None = None,
    *,
    training: bool = False,
) -> torch.Tensor:
    """Run every member on its own images, as a trained network (batch-norm uses what it has kept).

    Args:
        architecture: Architecture of all members.
        population: Entries [members, ...].
        pixels: Network input [members, batch, channels, height, width], or without the first axis
            for the same images for every member.
        members: Who they are, where some have a non-linearity of their own.
        way: Runs them at once; the first that can if not given.
        training: Batch-norm uses the batch's statistics instead; buffers of the population follow
            them, those that it lacks are new.

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
        training=training,
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
        way: How they are run at once; by their size if not given (`settled.py`).
        device: Where.

    Returns:
        (correct, loss): bool [members, images] and mean cross-entropy float64 [members].
    """
    whole = _Scoring(architecture, population, images, batch, members, way, device)

    def measure(outputs: Iterator[tuple[torch.Tensor, torch.Tensor]], count: int) -> _Scored:
        correct, loss = [], np.zeros(count)
        for answers, labels in outputs:
            correct.append((answers.argmax(2) == labels).cpu().numpy())
            loss += cross_entropy(answers, labels).double().cpu().numpy() * len(labels)
        return np.concatenate(correct, axis=1), loss / len(images.labels)

    correct, loss = zip(*whole.each(measure), strict=True)
    return np.concatenate(correct), np.concatenate(loss)


def answers_of(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    images: Images,
    batch: int | None = None,
    *,
    members: Sequence[Member] = (),
    way: str | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """Return every member's logits for the same images, float32 [members, images, classes].

    Arguments are those of `score`.
    """
    whole = _Scoring(architecture, population, images, batch, members, way, device)

    def collect(outputs: Iterator[tuple[torch.Tensor, torch.Tensor]], count: int) -> np.ndarray:
        del count
        return np.concatenate([answers.float().cpu().numpy() for answers, _ in outputs], axis=1)

    return np.concatenate(whole.each(collect))


_Scored = tuple[np.ndarray, np.ndarray]
Found = TypeVar("Found")


class _Scoring:
    """Members in groups side by side, each of which passes all images batch by batch."""

    def __init__(
        self,
        architecture: Architecture,
        population: Mapping[str, torch.Tensor],
        images: Images,
        batch: int | None,
        members: Sequence[Member],
        way: str | None,
        device: str,
    ) -> None:
        self.way = way or way_to_score(architecture, torch.device(device).type)
        self.where, self.architecture, self.members = torch.device(device), architecture, members
        self.batch = batch or images_per_pass(self.where, architecture, self.way)
        self.count = len(next(iter(population.values())))
        self.population = with_buffers(architecture, population)
        dtype = next(v.dtype for v in self.population.values() if v.is_floating_point())
        self.batches = Batches(images, self.where, dtype, flip=False, crop=0)

    def each(
        self, use: Callable[[Iterator[tuple[torch.Tensor, torch.Tensor]], int], Found]
    ) -> list[Found]:
        """Return what `use` makes of each group's (logits, labels) by batch, and its size."""

        @torch.no_grad()
        def run(part: tuple[slice, Way]) -> Found:
            group, runs = part
            return use(self._outputs(group, runs), group.stop - group.start)

        groups = groups_to_run(self.where, self.architecture, self.count, self.batch, self.way)
        parts = [(group, WAYS[self.way](self.architecture)) for group in groups]
        return on_cores(run, parts) if self.where.type == "cpu" else [run(part) for part in parts]

    def _outputs(self, group: slice, run: Way) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        mine = {name: values[group].to(self.where) for name, values in self.population.items()}
        for start in range(0, len(self.batches.labels), self.batch):
            part = slice(start, start + self.batch)
            pixels = self.batches.numbers(self.batches.pixels[part])
            outputs = logits(self.architecture, mine, pixels, self.members[group], run)
            yield outputs, self.batches.labels[part]


def groups_to_run(
    device: torch.device, architecture: Architecture, members: int, batch: int, way: str
) -> list[slice]:
    """Return the members that are run together, forward only.

    Those that are run one by one share what is made once: their images, and the module. On a GPU
    it is as many as a few GiB hold with what they are computing.
    """
    if way == "loop":
        many = max(1, min(LOOPED_MEMBERS, members // (2 * torch.get_num_threads())))
    elif device.type == "cpu" and way == "patches":
        most = max(1, FORWARD_NUMBERS // (batch * activations_of(architecture)))
        wanted = min(FORWARD_GROUPS, -(-members // FORWARD_MEMBERS))
        return evenly(members, max(-(-members // most), wanted))
    elif device.type == "cpu":
        return groups_on(device, architecture, members, batch, way)
    else:
        computed = activations_of(architecture) + largest_patches(architecture)
        many = max(1, GPU_NUMBERS // (batch * computed + architecture.parameter_count()))
    return [slice(i, min(i + many, members)) for i in range(0, members, many)]


def images_per_pass(device: torch.device, architecture: Architecture, way: str) -> int:
    """Return how many images networks are scored on at once."""
    near = device.type == "cpu" and way != "loop"
    numbers = PASS_NUMBERS if near else MANY_NUMBERS
    return max(8, min(256, numbers // activations_of(architecture)))


def stack(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> Population:
    """Turn arrays [members, ...] into a population, in the architecture's entry order."""
    names = [*architecture.shapes(), *(name for name in architecture.buffers() if name in weights)]
    return {
        name: torch.from_numpy(np.require(weights[name], requirements=["C", "W"])) for name in names
    }
