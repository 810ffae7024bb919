"""Permutation symmetries as data: which (entry, axis, block) each group of units touches.

Applying one permutation to every member of its group keeps the function; applying it to only one
of them does not. Between a convolution and a linear layer the flatten makes each channel a block
of consecutive columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import fx, nn

from sane_core.architectures.activations import MODULES
from sane_core.architectures.architecture import Architecture, Shapes

PASSING = (*MODULES.values(), nn.MaxPool2d, nn.AvgPool2d, nn.Flatten, nn.Dropout, nn.Identity)
"""Layers that treat every channel alike."""


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
    """Derive the groups of a sequential network; the last layer's outputs stay fixed.

    Raises:
        ValueError: If the network is not a sequence of convolutions, linear layers and what treats
            every channel alike.
    """
    module, shapes = architecture.outline, architecture.shapes()
    groups: list[PermutationGroup] = []
    producer: tuple[str, int] | None = None
    for node in fx.symbolic_trace(module).graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if len(node.all_input_nodes) != 1 or not _is_known(layer):
            raise ValueError(
                f"permutation groups of {architecture.name} cannot be derived: its operation "
                f"{node.name} is none of a sequential network; set preprocess.align to false"
            )
        if isinstance(layer, nn.Conv2d | nn.Linear):
            name = str(node.target)
            channels = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
            if producer:
                groups.append(_group(shapes, *producer, name, channels // producer[1]))
            producer = (name, layer.weight.shape[0])
    return tuple(groups)


def _is_known(layer: nn.Module | None) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1
    return isinstance(layer, (nn.Linear, *PASSING))


def _group(shapes: Shapes, producer: str, size: int, consumer: str, block: int) -> PermutationGroup:
    own = [Axis(f"{producer}.{kind}", 0) for kind in ("weight", "bias")]
    axes = [axis for axis in own if axis.entry in shapes]
    return PermutationGroup(producer, size, (*axes, Axis(f"{consumer}.weight", 1, block)))


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
