"""Fine-tune models of many origins at once, beside training from scratch (Tables 3 to 5).

All models are one population: same images, same optimizer, same batch order for the i-th model of
every origin, so that only the start differs.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import Population
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import score, stack
from sane_core.zoo.population.train import train, way_for
from schemas.config.training import TrainingConfig

Origin = TypeVar("Origin", bound=Hashable)
"""What a set of starting weights is called by the caller."""


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
) -> dict[Origin, dict[int, np.ndarray]]:
    """Train all models and score them on test images.

    Args:
        architecture: Architecture of all models.
        starts: Origin -> entry -> float32 [models, ...].
        images: Parts "train" and "test".
        recipe: How to train, but for the number of epochs.
        epochs: Epochs to report; 0 (zero-shot) is added.
        seed: The run's seed.
        chunk: Models trained at once.
        on_epoch: Called after every epoch of every chunk.

    Returns:
        Origin -> epoch -> test accuracy float64 [models].
    """
    counts = {origin: len(next(iter(weights.values()))) for origin, weights in starts.items()}
    joined = {
        name: np.concatenate([weights[name] for weights in starts.values()])
        for name in architecture.shapes()
    }
    numbers = [i for count in counts.values() for i in range(count)]
    wanted = sorted({0, *epochs})
    accuracy: dict[int, list[np.ndarray]] = {epoch: [] for epoch in wanted}

    def report(epoch: int, population: Population) -> None:
        if epoch in accuracy:
            accuracy[epoch].append(score(architecture, population, images["test"])[0].mean(1))
        if on_epoch:
            on_epoch()

    way = way_for(architecture, recipe)
    for start in range(0, len(numbers), chunk):
        part = {name: values[start : start + chunk] for name, values in joined.items()}
        runs = [10**6 + i for i in numbers[start : start + chunk]]
        train(
            architecture,
            stack(architecture, part),
            images["train"],
            members_of(recipe, runs, seed),
            recipe.model_copy(update={"epochs": max(wanted)}),
            seed,
            way=way,
            on_epoch=report,
        )
    bounds = np.cumsum([0, *counts.values()])
    merged = {epoch: np.concatenate(parts) for epoch, parts in accuracy.items()}
    return {
        origin: {epoch: merged[epoch][a:b] for epoch in wanted}
        for origin, a, b in zip(starts, bounds[:-1], bounds[1:], strict=True)
    }
