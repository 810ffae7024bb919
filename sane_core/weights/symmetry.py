"""Permutation symmetries as data: which (entry, axis, block) each group of units touches.

Applying one permutation to every member of its group keeps the function; applying it to only one
of them does not. Between a convolution and a linear layer the flatten makes each channel a block
of consecutive columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sane_core.zoo.architectures import Architecture, Conv, Flatten, Linear, MaxPool


@dataclass(frozen=True)
class Axis:
    """One axis that a group permutes: `block` consecutive indices move together."""

    entry: str
    axis: int
    block: int = 1


@dataclass(frozen=True)
class PermutationGroup:
    """Units of one layer that may be reordered freely.

    Attributes:
        name: The layer whose outputs they are.
        size: Number of units.
        axes: Every axis that must be reordered together.
    """

    name: str
    size: int
    axes: tuple[Axis, ...]


def groups_of(architecture: Architecture) -> tuple[PermutationGroup, ...]:
    """Derive the groups of a sequential network; the last layer's outputs stay fixed."""
    groups: list[PermutationGroup] = []
    producer: tuple[str, int] | None = None
    height = architecture.input_shape[1]
    block = 1
    for i, operation in enumerate(architecture.operations):
        match operation:
            case Conv(kernel=kernel, padding=padding):
                height += 2 * padding - kernel + 1
            case MaxPool(size):
                height //= size
            case Flatten():
                block = height * height
        if isinstance(operation, Conv | Linear):
            name = f"module_list.{i}"
            if producer:
                groups.append(_group(*producer, name, block))
                block = 1
            producer = (name, operation.c_out)
    return tuple(groups)


def _group(producer: str, size: int, consumer: str, block: int) -> PermutationGroup:
    axes = (
        Axis(f"{producer}.weight", 0),
        Axis(f"{producer}.bias", 0),
        Axis(f"{consumer}.weight", 1, block),
    )
    return PermutationGroup(producer, size, axes)


Permutations = dict[str, np.ndarray]
"""Group name -> permutation, int64 [size] for one model or [models, size] for each of many."""


def permute(
    weights: Mapping[str, np.ndarray],
    groups: tuple[PermutationGroup, ...],
    permutations: Permutations,
) -> dict[str, np.ndarray]:
    """Reorder units: unit i of the result is unit permutation[i] of the original.

    Args:
        weights: Entry -> array [models, ...].
        groups: Groups of the architecture.
        permutations: Per group [size], the same for all models, or [models, size].

    Returns:
        The reordered weights; the input is not modified.
    """
    result = dict(weights)
    for group in groups:
        for axis in group.axes:
            result[axis.entry] = take(result[axis.entry], axis, permutations[group.name])
    return result


def take(values: np.ndarray, axis: Axis, permutation: np.ndarray) -> np.ndarray:
    """Reorder one axis of [models, ...] by permutation [size] or [models, size]."""
    index = (permutation[..., None] * axis.block + np.arange(axis.block)).reshape(
        *permutation.shape[:-1], -1
    )
    if index.ndim == 1:
        return np.take(values, index, axis=axis.axis + 1)
    shape = [1] * values.ndim
    shape[0], shape[axis.axis + 1] = index.shape
    return np.take_along_axis(values, index.reshape(shape), axis=axis.axis + 1)


def inverse(permutations: Permutations) -> Permutations:
    """Return the permutations that take a permuted model back."""
    return {name: np.argsort(permutation, axis=-1) for name, permutation in permutations.items()}


def random_permutations(
    groups: tuple[PermutationGroup, ...], models: int, rng: np.random.Generator
) -> Permutations:
    """Draw independent uniform permutations, [models, size] per group."""
    return {
        group.name: rng.permuted(np.tile(np.arange(group.size), (models, 1)), axis=1)
        for group in groups
    }
