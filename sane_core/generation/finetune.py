"""Fine-tune models of many origins at once, beside training from scratch (Tables 3 to 5).

All models are one population: same images, same optimizer, same batch order for the i-th model of
every origin, so that only the start differs.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import Population
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.memory import members_that_fit
from sane_core.zoo.population.score import answers_of, stack
from sane_core.zoo.population.train import train, way_for, with_buffers
from schemas.config.training import TrainingConfig

AT_ONCE = 50
"""Models trained at once; fewer where a GPU cannot hold them."""

Origin = TypeVar("Origin", bound=Hashable)
"""What a set of starting weights is called by the caller."""


@dataclass(frozen=True)
class Tuned:
    """What became of the models of one origin.

    Attributes:
        accuracy: Epoch -> test accuracy float64 [models].
        ensemble: Epoch -> test accuracy of their mean logits.
    """

    accuracy: dict[int, np.ndarray]
    ensemble: dict[int, float]


def finetune(
    architecture: Architecture,
    starts: Mapping[Origin, Mapping[str, np.ndarray]],
    images: dict[str, Images],
    recipe: TrainingConfig,
    *,
    epochs: Sequence[int],
    seed: int,
    chunk: int,
    device: str,
    on_epoch: Callable[[], None] | None = None,
) -> dict[Origin, Tuned]:
    """Train all models and score them on test images.

    Args:
        architecture: Architecture of all models.
        starts: Origin -> entry -> float32 [models, ...].
        images: Parts "train" and "test".
        recipe: How to train, but for the number of epochs: a schedule runs over exactly those.
        epochs: Epochs to report; 0 (zero-shot) is added.
        seed: The run's seed.
        chunk: Models trained at once.
        device: Where.
        on_epoch: Called after every epoch of every chunk, and before the first.

    Returns:
        Origin -> accuracies.
    """
    whole = {o: with_buffers(architecture, stack(architecture, w)) for o, w in starts.items()}
    models = [(o, i) for o, own in whole.items() for i in range(len(next(iter(own.values()))))]
    results = _Results(
        images["test"].labels, sorted({0, *epochs}), [origin for origin, _ in models]
    )
    for start in range(0, len(models), chunk):
        part = models[start : start + chunk]

        def report(
            epoch: int, population: Population, mine: Sequence[tuple[Origin, int]] = part
        ) -> None:
            if epoch in results.epochs:
                answers = answers_of(architecture, population, images["test"], device=device)
                results.add(epoch, [origin for origin, _ in mine], answers)
            if on_epoch:
                on_epoch()

        population = _taken(whole, part)
        if results.epochs == [0]:
            report(0, population)
            continue
        train(
            architecture,
            population,
            images["train"],
            members_of(recipe, [10**6 + i for _, i in part], seed),
            recipe.model_copy(update={"epochs": results.epochs[-1]}),
            seed,
            way=way_for(architecture, recipe, device),
            device=device,
            on_epoch=report,
        )
    return {origin: results.of(origin) for origin in starts}


def models_at_once(
    architecture: Architecture, recipe: TrainingConfig, seed: int, device: str
) -> int:
    """Return how many models to train at once on a device."""
    if torch.device(device).type == "cpu":
        return AT_ONCE
    members = members_of(recipe, range(AT_ONCE), seed)
    way = way_for(architecture, recipe, device)
    return members_that_fit(architecture, recipe, members, seed, way, device)


def _taken(whole: Mapping[Origin, Population], models: Sequence[tuple[Origin, int]]) -> Population:
    """Return some models, each the i-th of its origin, as one population."""
    names = [*whole[models[0][0]]]
    return {name: torch.stack([whole[o][name][i] for o, i in models]) for name in names}


def epochs_of_chunks(models: int, epochs: Sequence[int], chunk: int) -> int:
    """Return how often `finetune` calls `on_epoch`."""
    return -(-models // chunk) * (max(0, *epochs) + 1) if epochs else -(-models // chunk)


class _Results(Generic[Origin]):
    """Accuracies, and sums of logits, by origin and epoch."""

    def __init__(self, labels: np.ndarray, epochs: list[int], origins: Sequence[Origin]) -> None:
        self.labels, self.epochs = labels, epochs
        self.counts = Counter(origins)
        self.accuracy: dict[tuple[Origin, int], list[float]] = {}
        self.logits: dict[tuple[Origin, int], np.ndarray] = {}

    def add(self, epoch: int, origins: Sequence[Origin], logits: np.ndarray) -> None:
        """Take the logits [models, images, classes] of some models."""
        for origin, own in zip(origins, logits, strict=True):
            at = (origin, epoch)
            self.accuracy.setdefault(at, []).append(float((own.argmax(1) == self.labels).mean()))
            self.logits[at] = self.logits.get(at, 0) + own.astype(np.float64)

    def of(self, origin: Origin) -> Tuned:
        """Return one origin's."""
        ensemble = {
            epoch: float((self.logits[origin, epoch].argmax(1) == self.labels).mean())
            for epoch in self.epochs
        }
        return Tuned(
            {epoch: np.array(self.accuracy[origin, epoch]) for epoch in self.epochs}, ensemble
        )
