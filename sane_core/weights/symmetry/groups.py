"""Permutation symmetries as data: which axis of which entry each group of units touches, and where.

Applying one permutation to every axis of its group keeps the function; applying it to only one of
them does not. Groups are independent: permutations of different groups commute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Where the units of a group lie along one axis of one state-dict entry.

    Unit u lies at `start + u · step`, repeated by `repeats`. Between a convolution of 4 channels
    and a linear layer, the flatten of 3 × 3 pixels makes each channel a block of 9 consecutive
    columns: step 9, repeats ((9, 1),). Of a concatenation, a group touches a part: start > 0. Heads
    of an attention are blocks; units that are alike in all heads repeat with a head's width as
    stride.

    Attributes:
        entry: State-dict entry.
        axis: Axis of the entry.
        start: Index of the first unit.
        step: Indices from one unit to the next.
        repeats: (count, stride) of each further factor, the outermost first.
        signed: Whether the values change their sign with the unit (a variance or the scale of a
            batch norm does not).
    """

    entry: str
    axis: int
    start: int = 0
    step: int = 1
    repeats: tuple[tuple[int, int], ...] = ()
    signed: bool = True

    @property
    def block(self) -> int:
        """Indices that move together for each unit."""
        return prod(count for count, _ in self.repeats)

    def positions(self, size: int) -> np.ndarray:
        """Return the indices of every unit, int64 [size, block]."""
        places = np.array([self.start])
        for count, stride in self.repeats:
            places = (places[:, None] + np.arange(count) * stride).reshape(-1)
        return (np.arange(size) * self.step)[:, None] + places


@dataclass(frozen=True)
class PermutationGroup:
    """Units that may be reordered freely.

    Attributes:
        name: The first entry that they are outputs of, without its last part; unique.
        size: Number of units, at least 2.
        axes: Every axis that must be reordered together.
        signs: Whether units may also flip their sign, because every operation on them is odd.
    """

    name: str
    size: int
    axes: tuple[Axis, ...]
    signs: bool = False


@dataclass(frozen=True)
class Fixed:
    """An axis, or a part of one, that stays as it is.

    Attributes:
        entry: State-dict entry.
        axis: Its axis.
        reason: Why it cannot be permuted safely.
    """

    entry: str
    axis: int
    reason: str


@dataclass(frozen=True)
class Symmetries:
    """What may be permuted in a network, and what may not.

    Attributes:
        groups: In the order of the state dict.
        fixed: What stays, in the same order; axes of one index are left out.
    """

    groups: tuple[PermutationGroup, ...]
    fixed: tuple[Fixed, ...] = field(default=())

    @cached_property
    def by_name(self) -> dict[str, PermutationGroup]:
        """Group name -> group."""
        return {group.name: group for group in self.groups}


def check_groups(groups: Sequence[PermutationGroup], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that groups written by hand lie within the entries that they name.

    Args:
        groups: What is to be checked.
        shapes: State-dict entry -> shape.

    Raises:
        ValueError: If names repeat, or a group names an entry, axis or index that is not there.
    """
    names = [group.name for group in groups]
    if len(set(names)) != len(names):
        raise ValueError(f"names of groups must be unique, got {names}")
    for group in groups:
        for axis in group.axes:
            shape = shapes.get(axis.entry)
            where = f"group {group.name} touches axis {axis.axis} of {axis.entry}"
            if shape is None or not 0 <= axis.axis < len(shape):
                raise ValueError(f"{where}, which must be there, got shape {shape}")
            places = axis.positions(group.size)
            if places.max() >= shape[axis.axis] or len(np.unique(places)) != places.size:
                raise ValueError(
                    f"{where} at indices up to {places.max()}, which must be different ones "
                    f"below {shape[axis.axis]}"
                )
