"""The fair control of sharpening: as many gradients, spent on the networks themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sane_core.generation.candidates import Weights, joined
from sane_core.generation.generator import Generator
from sane_core.images.images import Images
from sane_core.zoo.population.initialize import Population
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.score import stack
from sane_core.zoo.population.train import train, way_for
from schemas.config.sharpen import SharpenConfig
from schemas.config.training import TrainingConfig


def epochs_that_cost_as_much(sharpening: SharpenConfig, networks: int, images: int) -> int:
    """Return how long networks are trained for the images that sharpening has seen, at least 1.

    Args:
        sharpening: How the decoder was sharpened; an image counts once per network that answers it.
        networks: Networks that are trained instead.
        images: Train images of an epoch.
    """
    return max(1, round(sharpening.images_seen(images) / (networks * images)))


@dataclass(frozen=True)
class Control:
    """How candidates are trained to cost what sharpening has.

    Attributes:
        recipe: How, and for how many epochs.
        chunk: Candidates trained at once.
        on_epoch: Called after every epoch of every chunk, and before the first.
    """

    recipe: TrainingConfig
    chunk: int
    on_epoch: Callable[[], None] = lambda: None


def train_candidates(
    generator: Generator,
    weights: Mapping[str, np.ndarray],
    images: Images,
    recipe: TrainingConfig,
    seed: int,
    chunk: int,
    on_epoch: Callable[[int, Population], None] | None = None,
) -> Weights:
    """Train candidates, each on batches of its own, whoever is trained beside it.

    Args:
        generator: Whose architecture and device they have.
        weights: Entry -> float32 [candidates, ...]; running statistics start anew.
        images: Train images.
        recipe: How, and for how many epochs.
        seed: Draws the batches.
        chunk: Candidates trained at once; see `models_at_once`.
        on_epoch: Called with (epoch, population) of every chunk, also before the first epoch.

    Returns:
        Entry -> float32 [candidates, ...], buffers too.
    """
    architecture, device = generator.architecture, generator.device
    count = len(next(iter(weights.values())))

    def trained(part: range) -> Weights:
        own = {name: weights[name][part.start : part.stop] for name in architecture.shapes()}
        population = train(
            architecture,
            stack(architecture, own),
            images,
            members_of(recipe, [10**6 + i for i in part], seed),
            recipe,
            seed,
            way=way_for(architecture, recipe, device),
            device=device,
            on_epoch=on_epoch,
        )
        return {name: values.cpu().numpy() for name, values in population.items()}

    numbers = range(count)
    parts = (numbers[first : first + chunk] for first in range(0, count, chunk))
    return joined(map(trained, parts), count)
