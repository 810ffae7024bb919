"""A small network that the library has never seen, and the groups that it has by hand."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

IMAGES = (3, 3, 8, 8)
"""Three images, since a batch of another size than every layer hides no mistake."""


@dataclass(frozen=True)
class Case:
    """A network and what must be found in it.

    Attributes:
        build: Builds the module.
        shapes: Shape of every input.
        vocabulary: Number of different integers if the input is integers, else 0.
        sizes: Sizes of the groups that must be found, worked out in the network's docstring.
        possible: Sizes of groups that are there too, but may be given up.
        invisible: Entries that the outputs do not depend on, of which no permutation is noticed.
    """

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    vocabulary: int
    sizes: tuple[int, ...]
    possible: tuple[int, ...]
    invisible: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the network."""
        return getattr(self.build, "__name__", "network")

    def inputs(self, seed: int = 0) -> tuple[torch.Tensor, ...]:
        """Draw the inputs in float64, or as integers."""
        rng = torch.Generator().manual_seed(seed)
        if self.vocabulary:
            return tuple(torch.randint(self.vocabulary, s, generator=rng) for s in self.shapes)
        return tuple(torch.randn(s, generator=rng).double() for s in self.shapes)


CASES: list[Case] = []
"""Every network, in the order of their definition."""


def has_groups(
    *sizes: int,
    inputs: tuple[int, ...] | tuple[tuple[int, ...], ...] = IMAGES,
    vocabulary: int = 0,
    possible: tuple[int, ...] = (),
    invisible: tuple[str, ...] = (),
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Say of a module which groups it has, and list it among the cases."""
    several = tuple(inputs if isinstance(inputs[0], tuple) else (inputs,))

    def listed(network: type[nn.Module]) -> type[nn.Module]:
        CASES.append(Case(network, several, vocabulary, sizes, possible, invisible))
        return network

    return listed
