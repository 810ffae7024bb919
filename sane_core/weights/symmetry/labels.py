"""Tensors with a space for each axis, and the rules by which operations pass them on.

A rule says of one operation which axes of its inputs, parameters and outputs run over the same
units, and what of them it tells apart. It is called as the operation is, with every tensor replaced
by a `Labelled`, and returns the spaces of the output.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sane_core.weights.symmetry.spaces import Space, unify

Axes = tuple[Space, ...]
"""A space per axis of a tensor."""


@dataclass(frozen=True)
class Labelled:
    """A tensor's shape and the spaces of its axes."""

    shape: tuple[int, ...]
    axes: Axes

    def axis(self, axis: int) -> Space:
        """Return the space of an axis, counted as PyTorch does."""
        return self.axes[axis]

    def fix(self, reason: str) -> None:
        """Forbid permutations of all axes."""
        for space in self.axes:
            space.fix(reason)

    def unsign(self) -> None:
        """Forbid flipped signs of all axes."""
        for space in self.axes:
            space.unsign()


@dataclass(frozen=True)
class Call:
    """One operation in a network.

    Attributes:
        name: Its name.
        shape: Shape of its output; of a sequence of outputs, the shapes.
        module: The module that is called, if it is one.
        labels: Gives the label of a parameter or buffer of the module.
        keep_signs: Says that a parameter's values stay as they are where its units flip.
        picked: Tells of an output of so many axes which one is only picked from by number.
        floating: Whether the output is of floating point.
    """

    name: str
    shape: Any
    module: nn.Module | None
    labels: Callable[[torch.Tensor], Labelled]
    keep_signs: Callable[[torch.Tensor], None]
    picked: Callable[[int], int | None] = lambda axes: None
    floating: bool = True

    def own(self, name: str) -> Labelled | None:
        """Return the label of a parameter or buffer of the module, None if it has none."""
        tensor = getattr(self.module, name, None)
        return None if tensor is None else self.labels(tensor)


Rule = Callable[..., Any]
"""(call, *inputs, **inputs) -> spaces of the output; nested where the output is a sequence."""

FUNCTIONS: dict[str, Rule] = {}
"""Name of a function or method -> rule."""

MODULES: dict[type[nn.Module], Rule] = {}
"""Type of a module -> rule."""


def functions(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for functions and methods; `add` serves `add_` as well."""

    def register(rule: Rule) -> Rule:
        FUNCTIONS.update(dict.fromkeys(names, rule))
        return rule

    return register


def modules(*types: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Register a rule for modules of exactly these types."""

    def register(rule: Rule) -> Rule:
        MODULES.update(dict.fromkeys(types, rule))
        return rule

    return register


def tensors_in(values: Any) -> list[Labelled]:
    """Return all tensors among arguments, however nested."""
    if isinstance(values, Labelled):
        return [values]
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [tensor for value in values for tensor in tensors_in(value)]
    return []


def fresh(shape: Sequence[int], reason: str | None = None) -> Axes:
    """Return new spaces for a tensor of this shape."""
    return tuple(Space(size, reason) for size in shape)


def offset(axes: Axes, *along: Space) -> Axes:
    """Say that something was added to a tensor that runs only along some of its axes.

    Where it does not run along, flipped signs would not be passed on.
    """
    for space in axes:
        if not any(space is kept for kept in along):
            space.unsign()
    return axes


def same_units(*spaces: Space | None) -> None:
    """Unify all spaces given; None is skipped."""
    known = [space for space in spaces if space is not None]
    for other in known[1:]:
        unify(known[0], other)


def unknown(call: Call, *args: Any, **kwargs: Any) -> Any:
    """Fix every axis that an operation touches: the rule for what no rule is known of."""
    what = type(call.module).__name__ if call.module is not None else call.name
    reason = f"operation {what} is not known"
    for tensor in tensors_in([args, kwargs]):
        tensor.fix(reason)
    if call.module is not None:
        for own in (*call.module.parameters(), *call.module.buffers()):
            call.labels(own).fix(reason)
    return fixed_like(call.shape, reason)


def fixed_like(shape: Any, reason: str) -> Any:
    """Return fixed spaces for an output, nested as its shapes are."""
    if isinstance(shape, torch.Size):
        return fresh(shape, reason)
    if isinstance(shape, tuple | list):
        return tuple(fixed_like(each, reason) for each in shape)
    return None
