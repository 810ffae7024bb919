"""Train many members of one architecture at once on one device (no loop over members).

A population is a dict of state-dict entries stacked along a first axis `[members, ...]`. What a
member becomes depends on the recipe, the seed and its run number; not on who is trained beside it,
but for the last bits, which may follow the size of its group.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.augment import Batches, Draws, draw_epoch
from sane_core.zoo.population.cores import groups_of, on_cores
from sane_core.zoo.population.initialize import Population, build
from sane_core.zoo.population.learner import Learner
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.outputs import activations_of
from sane_core.zoo.population.settled import way_to_train
from sane_core.zoo.population.ways import WAYS, supported_ways
from schemas.config.training import TrainingConfig

State = dict[str, torch.Tensor]
"""What a training needs to go on: the population, `optimizer.*` moments, `epoch` and `steps`."""


class Training:
    """A population in training, epoch by epoch."""

    def __init__(
        self,
        architecture: Architecture,
        population: Mapping[str, torch.Tensor],
        images: Images,
        members: Sequence[Member],
        config: TrainingConfig,
        seed: int,
        *,
        way: str = "patches",
        device: str = "cpu",
    ) -> None:
        """Prepare the first epoch.

        Args:
            architecture: Architecture of all members.
            population: Start; not modified. Buffers may be missing: then they are new.
            images: Training images, shared.
            members: One for each of the population.
            config: The recipe.
            seed: The run's seed.
            way: How members are run at once: a name of `WAYS`.
            device: Where.
        """
        self.architecture, self.config, self.seed = architecture, config, seed
        self.members, self.epoch = list(members), 0
        self.device = torch.device(device)
        start = with_buffers(architecture, population)
        full = next(iter(start.values())).dtype
        dtype = torch.bfloat16 if config.precision == "bfloat16" else full
        self.batches = Batches(images, self.device, dtype, config.flip, config.crop)
        self.images = len(images.labels)
        self.groups = groups_on(self.device, architecture, len(self.members), config.batch, way)
        self.learners = []
        for group in self.groups:
            own = {name: values[group].to(self.device) for name, values in start.items()}
            run = WAYS[way](architecture)
            self.learners.append(Learner(architecture, run, self.members[group], own, config, seed))

    @property
    def population(self) -> Population:
        """Return a copy of the members as they are."""
        return _joined([learner.population for learner in self.learners])

    def advance(self, steps: int | None = None) -> None:
        """Train one epoch, or its first steps only."""
        self.epoch += 1
        work = partial(self._epoch, steps)
        if self.device.type == "cpu":
            on_cores(work, self.learners)
        else:
            for learner in self.learners:
                work(learner)

    def state(self) -> State:
        """Return a copy of what `restore` needs."""
        moments = _joined([learner.optimizer.moments for learner in self.learners])
        return (
            self.population
            | {f"optimizer.{name}": values for name, values in moments.items()}
            | {
                "epoch": torch.tensor(self.epoch),
                "steps": torch.tensor(self.learners[0].optimizer.steps),
            }
        )

    def restore(self, state: State) -> None:
        """Go on from a kept `state`."""
        self.epoch = int(state["epoch"])
        for learner, group in zip(self.learners, self.groups, strict=True):
            for name, values in learner.population.items():
                values.copy_(state[name][group])
            for name, values in learner.optimizer.moments.items():
                values.copy_(state[f"optimizer.{name}"][group])
            learner.optimizer.steps = int(state["steps"])

    def _epoch(self, limit: int | None, learner: Learner) -> None:
        draws = [
            draw_epoch(self.images, self.seed, member.run, self.epoch, self.config.crop)
            for member in learner.members
        ]
        order, flips, shifts = (
            torch.stack([getattr(own, name) for own in draws]).to(self.device)
            for name in Draws.__dataclass_fields__
        )
        batch = self.config.batch
        per_epoch = -(-self.images // batch)
        learner.begin(self.epoch)
        for number in range(per_epoch if limit is None else limit):
            part = slice(number * batch, (number + 1) * batch)
            pixels, labels = self.batches.take(order[:, part], flips[:, part], shifts[:, part])
            done = (self.epoch - 1) * per_epoch + number
            learner.step(pixels, labels, done, self.config.epochs * per_epoch)


def train(
    architecture: Architecture,
    population: Mapping[str, torch.Tensor],
    images: Images,
    members: Sequence[Member],
    config: TrainingConfig,
    seed: int,
    *,
    way: str = "patches",
    device: str = "cpu",
    on_epoch: Callable[[int, Population], None] | None = None,
) -> Population:
    """Train all members at once.

    Member i sees its own batch order, drawn from `(seed, "order", run, epoch)`. The last batch of
    an epoch is smaller if `batch` does not divide the number of images.

    Args:
        architecture: Architecture of all members.
        population: Start; not modified.
        images: Training images, shared.
        members: One for each of the population.
        config: The recipe.
        seed: The run's seed.
        way: How members are run at once.
        device: Where.
        on_epoch: Called with (epoch, population) after each epoch, and with epoch 0 before the
            first.

    Returns:
        The trained population.
    """
    training = Training(
        architecture, population, images, members, config, seed, way=way, device=device
    )
    if on_epoch:
        on_epoch(0, training.population)
    for _ in range(config.epochs):
        training.advance()
        if on_epoch:
            on_epoch(training.epoch, training.population)
    return training.population


def _joined(parts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def with_buffers(architecture: Architecture, population: Mapping[str, torch.Tensor]) -> Population:
    """Return the population with new buffers where it has none.

    Running means are 0, variances 1, counters 0; those of a model's own are what its module says.
    """
    missing = [name for name in architecture.buffers() if name not in population]
    if not missing:
        return dict(population)
    fresh = build(architecture).state_dict()
    like = next(iter(population.values()))
    new = {}
    for name in missing:
        one = fresh[name].to(like if fresh[name].is_floating_point() else like.device)
        new[name] = one.expand(len(like), *one.shape).clone()
    return dict(population) | new


def groups_on(
    device: torch.device, architecture: Architecture, members: int, batch: int, way: str
) -> list[slice]:
    """Return the members that take their steps together: all of them on a GPU."""
    if way == "loop":
        return [slice(i, i + 1) for i in range(members)]
    if device.type != "cpu":
        return [slice(0, members)]
    return groups_of(members, activations_of(architecture) * batch)


def way_for(architecture: Architecture, config: TrainingConfig, device: str = "cpu") -> str:
    """Return the way a recipe names, or the one for networks of this size (`settled.py`)."""
    if config.way == "auto":
        return way_to_train(architecture, torch.device(device).type)
    ways = supported_ways(architecture)
    if config.way not in ways:
        raise ValueError(f"way of {architecture.name} must be one of {ways}, got {config.way!r}")
    return config.way
