"""The training networks that generated ones are compared with, a part of them in memory at a time.

A zoo of 140 ResNet-18s at 25 epochs is 156 GB of weights: they are read again for every comparison
rather than kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sane_core.architectures.architecture import Architecture
from sane_core.generation.candidates import Weights
from sane_core.generation.novelty import nearest_distances
from sane_core.images.images import Images
from sane_core.zoo.population.score import score, stack

AT_ONCE = 2**27
"""Weights that are in memory at once, unless one network has more (512 MiB)."""


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks of one architecture, in the aligned frame, in a fixed order.

    Attributes:
        architecture: Of all of them.
        count: How many.
        device: Where they are run.
        read: Reads those of a slice, entry -> float32 [networks, ...]; running statistics too,
            where there are any.
    """

    architecture: Architecture
    count: int
    device: str
    read: Callable[[slice], Weights]

    def __len__(self) -> int:
        return self.count

    def parts(self) -> Iterator[Weights]:
        """Read all networks, some at a time."""
        many = max(1, AT_ONCE // self.architecture.parameter_count())
        for start in range(0, self.count, many):
            yield self.read(slice(start, min(start + many, self.count)))

    def wrong(self, images: Images) -> np.ndarray:
        """Return where they err, bool [networks, images]."""
        scores = (
            score(self.architecture, stack(self.architecture, part), images, device=self.device)[0]
            for part in self.parts()
        )
        return ~np.concatenate([*scores])

    def nearest(self, sets: Sequence[Weights]) -> list[np.ndarray]:
        """Return the distance of every model to the nearest of these networks.

        Args:
            sets: Of each set of models, entry -> [models, ...] in the aligned frame.

        Returns:
            Of each set, Euclidean distances over the trained entries, float64 [models]. All
            networks are read once.
        """
        names = [*self.architecture.shapes()]
        trained = ({name: part[name] for name in names} for part in self.parts())
        return nearest_distances(sets, trained)
