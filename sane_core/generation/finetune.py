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
from sane_core.zoo.population.score import answers_of, stack
from sane_core.zoo.population.train import train, way_for, with_buffers
from schemas.config.training import TrainingConfig

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
        on_epoch: Called after every epoch of every chunk, and before the first.

    Returns:
        Origin -> accuracies.
    """
    whole = {o: with_buffers(architecture, stack(architecture, w)) for o, w in starts.items()}
    counts = {origin: len(next(iter(models.values()))) for origin, models in whole.items()}
    joined = {
        name: torch.cat([models[name] for models in whole.values()])
        for name in next(iter(whole.values()))
    }
    origins = [origin for origin, count in counts.items() for _ in range(count)]
    numbers = [i for count in counts.values() for i in range(count)]
    results = _Results(images["test"].labels, sorted({0, *epochs}), origins)
    for start in range(0, len(numbers), chunk):
        part = slice(start, start + chunk)

        def report(epoch: int, population: Population, mine: list[Origin] = origins[part]) -> None:
            if epoch in results.epochs:
                results.add(epoch, mine, answers_of(architecture, population, images["test"]))
            if on_epoch:
                on_epoch()

        population = {name: values[part] for name, values in joined.items()}
        if results.epochs == [0]:
            report(0, population)
            continue
        train(
            architecture,
            population,
            images["train"],
            members_of(recipe, [10**6 + i for i in numbers[part]], seed),
            recipe.model_copy(update={"epochs": results.epochs[-1]}),
            seed,
            way=way_for(architecture, recipe),
            on_epoch=report,
        )
    return {origin: results.of(origin) for origin in starts}


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
