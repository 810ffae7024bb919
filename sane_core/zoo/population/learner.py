"""Some members of a population with their optimizer; a step changes the population in place."""

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from sane_core.architectures.architecture import Architecture
from sane_core.seeding import seed_for
from sane_core.zoo.population.members import Member
from sane_core.zoo.population.operations import Pass
from sane_core.zoo.population.optimizers import Optimizer, one_cycle
from sane_core.zoo.population.outputs import check_places, dropouts_of
from sane_core.zoo.population.ways import Way
from schemas.config.training import TrainingConfig


class Learner:
    """Members that take their steps together."""

    def __init__(
        self,
        architecture: Architecture,
        way: Way,
        members: Sequence[Member],
        population: Mapping[str, torch.Tensor],
        config: TrainingConfig,
        seed: int,
    ) -> None:
        """Take charge of some members.

        Args:
            architecture: Of all members.
            way: How they are run at once.
            members: Who they are.
            population: Their weights and buffers; not modified.
            config: The recipe.
            seed: The run's seed.
        """
        check_places(architecture, members)
        self.way, self.members, self.config, self.seed = way, members, config, seed
        self.shapes = architecture.shapes()
        # Own memory: groups on other cores must not share a version counter with this one.
        weights = torch.cat([population[name].flatten(1) for name in self.shapes], dim=1).detach()
        self.weights = weights
        self.buffers = {
            name: values.clone(memory_format=torch.contiguous_format)
            for name, values in population.items()
            if name not in self.shapes
        }
        self.activations = own_activations(members, weights.device)
        self.dropouts = {
            name: ([p if member.dropout is None else member.dropout for member in members], shape)
            for name, (p, shape) in dropouts_of(architecture).items()
        }
        self.optimizer = Optimizer(
            config.optimizer,
            weights,
            [member.learning_rate for member in members],
            [member.weight_decay for member in members],
        )
        self.dropping: list[torch.Generator] = []

    @property
    def population(self) -> dict[str, torch.Tensor]:
        """The members as they are; live, copy what is kept."""
        return split(self.weights, self.shapes) | self.buffers

    def begin(self, epoch: int) -> None:
        """Seed what is drawn on the device in this epoch."""
        self.dropping = [
            torch.Generator(self.weights.device).manual_seed(
                seed_for(self.seed, "dropout", member.run, epoch)
            )
            for member in self.members
        ]

    def step(self, pixels: torch.Tensor, labels: torch.Tensor, step: int, steps: int) -> None:
        """Take one step.

        Args:
            pixels: [members, batch, channels, height, width].
            labels: [members, batch].
            step: Number of this step, from 0.
            steps: Steps of the whole training.
        """
        leaf = self.weights.detach().requires_grad_()
        given = leaf.to(pixels.dtype)
        state = Pass(
            weights=split(given, self.shapes),
            buffers=self.buffers,
            training=True,
            activations=self.activations,
            kept=self._kept(pixels),
        )
        loss = cross_entropy(self.way(state, pixels), labels).sum()
        (grad,) = torch.autograd.grad(loss, leaf)
        factor, momentum = 1.0, self.config.momentum if self.config.optimizer == "sgd" else 0.9
        if self.config.schedule == "onecycle":
            factor, momentum = one_cycle(step, steps)
        with torch.no_grad():
            self.optimizer.step(grad, factor, momentum)

    def _kept(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Draw every dropout's factors: 0, or what keeps the mean."""
        kept = {}
        for name, (shares, shape) in self.dropouts.items():
            if not any(shares):
                continue
            # bfloat16 knows too few numbers to hit a share.
            draws = self.weights.new_empty(*pixels.shape[:2], *shape)
            for row, generator in zip(draws, self.dropping, strict=True):
                row.uniform_(generator=generator)
            share = draws.new_tensor(shares).view(-1, *[1] * (draws.dim() - 1))
            kept[name] = ((draws >= share).to(draws.dtype) / (1 - share)).to(pixels.dtype)
        return kept


def own_activations(members: Sequence[Member], device: torch.device) -> dict[str, torch.Tensor]:
    """Return kind -> places of the members that have it; empty where none has its own.

    Raises:
        ValueError: If some have and some have not.
    """
    kinds = [member.activation for member in members]
    if None in kinds and set(kinds) != {None}:
        raise ValueError(f"activation must be given for all members or for none, got {kinds}")
    return {
        kind: torch.tensor([i for i, own in enumerate(kinds) if own == kind], device=device)
        for kind in dict.fromkeys(kinds)
        if kind is not None
    }


def split(weights: torch.Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Return parameter -> view of weights [members, all weights] as [members, *shape]."""
    sizes = [torch.Size(shape).numel() for shape in shapes.values()]
    parts = weights.split(sizes, dim=1)
    return {
        name: part.unflatten(1, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return each member's mean cross-entropy in nats.

    Args:
        outputs: Logits [members, batch, classes].
        labels: int64 [members, batch], or [batch] for the same labels for every member.

    Returns:
        Loss [members].
    """
    labels = labels.expand(outputs.shape[:2])
    losses = functional.cross_entropy(
        outputs.flatten(0, 1).float() if outputs.dtype == torch.bfloat16 else outputs.flatten(0, 1),
        labels.flatten(),
        reduction="none",
    )
    return losses.view(outputs.shape[:2]).mean(1)
