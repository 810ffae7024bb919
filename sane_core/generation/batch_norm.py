"""Batch-norm conditioning: running statistics of new networks, from images of the task (paper §2).

Decoded weights have none of their own. They are reset and measured in train-mode forward passes
without gradient: the cumulative average over batches. Trained entries are not touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.augment import Batches, draw_epoch
from sane_core.zoo.population.cores import on_cores
from sane_core.zoo.population.initialize import Population
from sane_core.zoo.population.operations import Pass
from sane_core.zoo.population.score import groups_to_run
from sane_core.zoo.population.settled import way_to_score
from sane_core.zoo.population.train import with_buffers
from sane_core.zoo.population.ways import WAYS, Way
from schemas.config.augmented import Augmented

SUFFIXES = ("running_mean", "running_var")
COUNTER = "num_batches_tracked"


class Asked(Protocol):
    """The part of a configuration that is about conditioning."""

    @property
    def conditioning_batches(self) -> int:
        """Batches averaged over; 0: none."""

    @property
    def conditioning_batch(self) -> int:
        """Images of each."""

    @property
    def conditioning_augmented(self) -> bool:
        """Whether they are moved as in training."""


@dataclass(frozen=True)
class Conditioning:
    """What running statistics are measured on.

    Attributes:
        images: Train images of the task.
        batches: Batches averaged over, >= 1.
        batch: Images of each.
        seed: Draws the images; all networks see the same ones.
        flip: Mirror half of them, as training did.
        crop: Zeros around an image, in pixels, before it is cropped to its size again at random,
            as training did. Running statistics that networks keep are of such images.
    """

    images: Images
    batches: int
    batch: int
    seed: int = 0
    flip: bool = False
    crop: int = 0

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to measure.

        Raises:
            ValueError: If a count is too small, or there are fewer images than one batch.
        """
        if self.batches < 1 or self.batch < 2:
            raise ValueError(
                "conditioning needs batches >= 1 of at least 2 images, got "
                f"{self.batches} of {self.batch}"
            )
        if len(self.images) < self.batch:
            raise ValueError(
                f"conditioning on batches of {self.batch} needs as many images, got "
                f"{len(self.images)}; give it more images or a smaller batch"
            )

    def chosen(self) -> list[np.ndarray]:
        """Return the numbers of the images of every batch; fewer batches where images run out."""
        order = np.random.default_rng(self.seed).permutation(len(self.images))
        batches = min(self.batches, len(order) // self.batch)
        return np.split(order[: batches * self.batch], batches)

    def inputs(self, device: torch.device, dtype: torch.dtype) -> list[torch.Tensor]:
        """Return the network input of every batch, [batch, channels, height, width]."""
        chosen = self.chosen()
        shown = self.images.take(np.concatenate(chosen))
        batches = Batches(shown, device, dtype, self.flip, self.crop)
        drawn = draw_epoch(len(shown), self.seed, 0, 0, self.crop)
        taken = [
            part.to(device)[None].split(self.batch, dim=1)
            for part in (torch.arange(len(shown)), drawn.flips, drawn.shifts)
        ]
        return [batches.take(*part)[0][0] for part in zip(*taken, strict=True)]


def conditioning_on(
    train: Images, asked: Asked, moved: Augmented, seed: int
) -> Conditioning | None:
    """Return what running statistics are measured on; None if they stay new.

    Args:
        train: Train images; where they are fewer than a batch, a batch is all of them.
        asked: How many, and whether they are moved as in training.
        moved: How training moved them.
        seed: Draws them.

    Raises:
        ValueError: If there is one image only.
    """
    if not asked.conditioning_batches:
        return None
    moved = moved if asked.conditioning_augmented else Augmented()
    batch = min(asked.conditioning_batch, len(train))
    return Conditioning(train, asked.conditioning_batches, batch, seed, moved.flip, moved.crop)


def has_running_statistics(architecture: Architecture) -> bool:
    """Return whether there is anything to condition."""
    return any(name.endswith(SUFFIXES) for name in architecture.buffers())


def condition(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    conditioning: Conditioning,
    *,
    way: str | None = None,
    device: str = "cpu",
) -> Population:
    """Reset all running statistics and measure them anew.

    Args:
        architecture: Architecture of all networks.
        population: Entries [networks, ...]; not modified. Buffers may be missing.
        conditioning: Images and batches.
        way: How networks are run at once; by their size if not given (`settled.py`).
        device: Where.

    Returns:
        The population: trained entries as given, running means and variances the mean over
        batches of each batch's (the variance unbiased, as PyTorch keeps it), counters the number
        of batches.
    """
    population = with_buffers(architecture, population)
    if not has_running_statistics(architecture):
        return population
    where = torch.device(device)
    way = way or way_to_score(architecture, where.type)
    count = len(next(iter(population.values())))
    dtype = next(values.dtype for values in population.values() if values.is_floating_point())
    inputs = conditioning.inputs(where, dtype)
    momenta = _momenta(architecture)

    def measure(work: tuple[slice, Way]) -> Population:
        group, run = work
        mine = {name: values[group].to(where) for name, values in population.items()}
        return _measure(architecture, mine, inputs, momenta, run)

    groups = groups_to_run(where, architecture, count, conditioning.batch, way)
    parts = [(group, WAYS[way](architecture)) for group in groups]
    found = on_cores(measure, parts) if where.type == "cpu" else [measure(part) for part in parts]
    return population | {
        name: torch.cat([part[name].to(population[name].device) for part in found])
        for name in found[0]
    }


@torch.no_grad()
def _measure(
    architecture: Architecture,
    population: Population,
    inputs: Sequence[torch.Tensor],
    momenta: Mapping[str, float],
    run: Way,
) -> Population:
    """Return the conditioned buffers of some networks.

    From 0 a pass leaves momentum · (the batch's statistic): divided by it, the statistic itself.
    """
    weights = {name: population[name] for name in architecture.shapes()}
    buffers = {name: values for name, values in population.items() if name not in weights}
    sums = {
        name: torch.zeros_like(values, dtype=torch.float64)
        for name, values in buffers.items()
        if name.endswith(SUFFIXES)
    }
    counters = [name for name in buffers if name.endswith(COUNTER)]
    models = len(next(iter(weights.values())))
    for batch in inputs:
        fresh = {
            name: torch.zeros_like(values) if name in sums or name in counters else values.clone()
            for name, values in buffers.items()
        }
        run(Pass(weights, fresh, training=True), batch.expand(models, *batch.shape))
        for name, total in sums.items():
            total += fresh[name].double() / momenta[name.rpartition(".")[0]]
    found = {name: (total / len(inputs)).to(buffers[name].dtype) for name, total in sums.items()}
    return found | {name: torch.full_like(buffers[name], len(inputs)) for name in counters}


def _momenta(architecture: Architecture) -> dict[str, float]:
    """Return module with running statistics -> its momentum; 1 where it averages cumulatively."""
    found = {}
    for name, module in architecture.outline.named_modules():
        if isinstance(getattr(module, "running_mean", None), torch.Tensor):
            momentum = getattr(module, "momentum", None)
            if momentum == 0:
                raise ValueError(f"{name} of {architecture.name} must have a momentum > 0, got 0")
            found[name] = 1.0 if momentum is None else float(momentum)
    return found
