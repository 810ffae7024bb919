"""What a network computes after its weights were moved, and what symmetries say of every axis."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from sane_core.weights.symmetry.groups import Axis, PermutationGroup, Symmetries
from sane_core.weights.symmetry.permute import permute

NOTICED = 1e-9
"""A larger change of an output, relative to the largest, is not of rounding in float64."""

Place = tuple[str, int, tuple[tuple[int, ...], ...]]
"""Entry, axis, and the indices of every unit."""


def randomize(module: nn.Module, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Draw every parameter and every statistic, so that no zero or one hides a mistake."""
    rng = torch.Generator().manual_seed(seed)
    state = module.to(dtype).eval().state_dict()
    for name, values in state.items():
        if values.is_floating_point():
            drawn = torch.randn(values.shape, generator=rng, dtype=torch.float64)
            if values.dim() > 1:
                drawn *= (values.shape[0] / max(1, values.numel())) ** 0.5
            elif name.endswith(("weight", "var", "gamma", "scale")):
                drawn = 0.5 + torch.rand(values.shape, generator=rng, dtype=torch.float64)
            state[name] = drawn.to(dtype)
    module.load_state_dict(state)
    return module


def outputs(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """Return every output."""
    with torch.no_grad():
        result = module(*inputs)
    return list(result) if isinstance(result, tuple) else [result]


def change(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    move: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
) -> float:
    """Return how far moving the weights moves an output, relative to the largest output."""
    weights = {name: value.numpy()[None] for name, value in module.state_dict().items()}
    moved = copy.deepcopy(module)
    moved.load_state_dict({name: torch.tensor(v[0]) for name, v in move(weights).items()})
    pairs = list(zip(outputs(module, inputs), outputs(moved, inputs), strict=True))
    largest = max(float(before.abs().max()) for before, _ in pairs)
    return max(float((after - before).abs().max()) for before, after in pairs) / largest


def turn(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], groups: tuple[PermutationGroup, ...]
) -> float:
    """Return how far moving every unit of these groups by one place moves an output."""
    turned = {group.name: np.roll(np.arange(group.size), 1) for group in groups}
    return change(module, inputs, lambda weights: permute(weights, groups, turned))


def without_one(group: PermutationGroup) -> Iterator[tuple[str, PermutationGroup]]:
    """Yield every entry of a group that could be forgotten, and the group that forgets its axis."""
    for entry, number in dict.fromkeys((axis.entry, axis.axis) for axis in group.axes):
        rest = [axis for axis in group.axes if (axis.entry, axis.axis) != (entry, number)]
        if rest:
            yield entry, replace(group, axes=tuple(rest))


def place(axis: Axis, size: int) -> Place:
    """Return where the units of a group lie, however the axis says it."""
    return axis.entry, axis.axis, tuple(tuple(row) for row in axis.positions(size).tolist())


def places(group: PermutationGroup) -> frozenset[Place]:
    """Return every place of a group."""
    return frozenset(place(axis, group.size) for axis in group.axes)


def sizes(symmetries: Symmetries) -> Counter[int]:
    """Return how many groups there are of each size."""
    return Counter(group.size for group in symmetries.groups)


def unsaid(module: nn.Module, symmetries: Symmetries) -> set[tuple[str, int]]:
    """Return the axes of several indices that are neither in groups nor fixed as a whole."""
    said = {(fixed.entry, fixed.axis) for fixed in symmetries.fixed}
    moving: dict[tuple[str, int], set[int]] = {}
    for group in symmetries.groups:
        for axis in group.axes:
            own = axis.positions(group.size).ravel().tolist()
            moving.setdefault((axis.entry, axis.axis), set()).update(own)
    return {
        (entry, number)
        for entry, values in module.state_dict().items()
        for number, size in enumerate(values.shape)
        if size > 1 and (entry, number) not in said
        if moving.get((entry, number), set()) != set(range(size))
    }
