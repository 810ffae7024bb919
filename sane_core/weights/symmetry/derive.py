"""Derive the permutation symmetries of any network from its `torch.fx` graph.

The network is traced and followed operation by operation, on tensors without numbers. Every axis of
every tensor is a `Space` of units; each operation says which axes run over the same units and which
units it tells apart (`rules/`). What remains is data: for each group of units that nothing tells
apart, the axes of all parameters and batch-norm statistics that run over it. No name of a module or
parameter is consulted, and an operation that nothing is known of fixes what it touches.

Differs from git re-basin and the published code of SANE, which write a table per architecture.
"""

import copy
import traceback
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import fx, nn

from sane_core.architectures.architecture import Architecture
from sane_core.weights.symmetry.groups import (
    Axis,
    Fixed,
    PermutationGroup,
    Symmetries,
    check_groups,
)
from sane_core.weights.symmetry.interpreter import Follower, Tracer
from sane_core.weights.symmetry.spaces import Space

UNREACHED = "no operation reaches it"
ALONE = "one of its units is like no other"
_TRACING = Lock()
"""PyTorch's tracer patches modules while it works."""

Inputs = torch.Tensor | tuple[torch.Tensor, ...]
_Place = tuple[Space, Axis]


def derive(
    module: nn.Module, inputs: Inputs, leaf_modules: Collection[type[nn.Module]] = ()
) -> Symmetries:
    """Find what may be permuted in a network.

    Not found, because groups are independent of each other here: orders of units that differ from
    head to head of an attention, or from group to group of what a grouped convolution contracts
    (they are reordered alike in all of them), and symmetries other than permutations and signs.

    Args:
        module: The network; it is not changed, and followed in evaluation mode.
        inputs: Examples for shapes and dtypes; their numbers are not looked at.
        leaf_modules: Modules to take as a whole, all their axes fixed, because they cannot be
            traced.

    Returns:
        Groups, and what stays as it is and why.

    Raises:
        ValueError: If the network cannot be traced, or does not run on these inputs.
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    outline = _outline(module)
    tracer = Tracer(leaf_modules)
    follower = Follower(_traced(outline, tracer), outline, leaf_modules, tracer.folded)
    try:
        with torch.no_grad(), torch.device("meta"):
            follower.run(*(each.to("meta") for each in given))
    except RuntimeError as error:
        raise ValueError(f"{_what(module)} must run on inputs of these shapes: {error}") from error
    follower.settle_signs(outline)
    return _symmetries(outline, follower)


@lru_cache(maxsize=64)
def symmetries_of(architecture: Architecture) -> Symmetries:
    """Derive what may be permuted in an architecture; its logits stay in their order.

    A user's module that cannot be traced says so by an attribute: `leaf_modules`, types of modules
    to take as a whole, or `permutation_groups`, its groups by hand, which are then not derived.

    Raises:
        ValueError: As `derive`, or if a group by hand does not fit the network.
    """
    module: Any = architecture.outline
    by_hand = getattr(module, "permutation_groups", None)
    if by_hand is not None:
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        check_groups(by_hand, shapes)
        return Symmetries(tuple(by_hand))
    images = torch.zeros(2, *architecture.input_shape, device="meta")
    return derive(module, images, getattr(module, "leaf_modules", ()))


def groups_of(architecture: Architecture) -> tuple[PermutationGroup, ...]:
    """Derive the groups of units of an architecture that may be permuted.

    Raises:
        ValueError: As `derive`.
    """
    return symmetries_of(architecture).groups


def _outline(module: nn.Module) -> nn.Module:
    """Return a copy without memory for its weights; what was shared still is."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo).eval()


def _traced(module: nn.Module, tracer: Tracer) -> fx.GraphModule:
    try:
        with _TRACING:
            return fx.GraphModule(module, tracer.trace(module))
    except Exception as error:  # whatever a user's own forward raises on a proxy
        raise ValueError(
            f"{_what(module)} must be traceable by torch.fx, but {_culprit(error)}: {error}; name "
            "the module that it stands in as a leaf (leaf_modules), so that its weights stay where "
            "they are, or give the groups by hand (permutation_groups, a tuple of PermutationGroup)"
        ) from error


def _what(module: nn.Module) -> str:
    return f"network {type(module).__name__}"


def _culprit(error: Exception) -> str:
    """Name the line of the user's code that cannot be traced."""
    own = Path(torch.__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if own not in Path(frame.filename).parents and frame.filename != __file__
    ]
    if not theirs:
        return "it is not"
    last = theirs[-1]
    return f"line {last.lineno} of {last.filename} is not (`{last.line}`)"


def _symmetries(module: nn.Module, follower: Follower) -> Symmetries:
    places: dict[Space, list[Axis]] = {}
    fixed: dict[Fixed, None] = {}
    for entry, tensor in _entries(module):
        label = follower.known_label(tensor)
        for axis, size in enumerate(tensor.shape):
            if label is None:
                if size > 1:
                    fixed[Fixed(entry, axis, UNREACHED)] = None
                continue
            signed = id(tensor) not in follower.keeping
            for leaf, place in _places(label.axis(axis), Axis(entry, axis, signed=signed)):
                if leaf.size > 1 and not leaf.reason:
                    places.setdefault(leaf, []).append(place)
                elif size > 1:
                    fixed[Fixed(entry, axis, leaf.reason or ALONE)] = None
    return Symmetries(tuple(_groups(places)), tuple(fixed))


def _entries(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every entry of the state dict, shared ones under each of their names."""
    tensors: dict[str, torch.Tensor] = dict(module.named_parameters(remove_duplicate=False))
    tensors.update(module.named_buffers(remove_duplicate=False))
    for entry in module.state_dict():
        if entry in tensors:
            yield entry, tensors[entry]


def _places(space: Space, place: Axis) -> Iterator[_Place]:
    """Yield the leaves of an axis, and where along it their units lie."""
    if space.kind == "leaf":
        yield space.find(), place
    elif space.kind == "concat":
        start = place.start
        for part in space.parts:
            yield from _places(part, _moved(place, start, place.step, ()))
            start += part.size * place.step
    else:
        factors = space.parts
        strides = [place.step]
        for factor in factors[:0:-1]:
            strides.insert(0, strides[0] * factor.size)
        for i, factor in enumerate(factors):
            others = tuple(
                (each.size, stride)
                for j, (each, stride) in enumerate(zip(factors, strides, strict=True))
                if j != i
            )
            yield from _places(factor, _moved(place, place.start, strides[i], others))


def _moved(place: Axis, start: int, step: int, repeats: tuple[tuple[int, int], ...]) -> Axis:
    """Return a place with another start and step, and further repeats, joined where they can be."""
    joined: list[tuple[int, int]] = []
    for count, stride in (*place.repeats, *repeats):
        if joined and joined[-1][1] == count * stride:
            joined[-1] = (joined[-1][0] * count, stride)
        else:
            joined.append((count, stride))
    return Axis(place.entry, place.axis, start, step, tuple(joined), place.signed)


def _groups(places: dict[Space, list[Axis]]) -> Iterator[PermutationGroup]:
    taken: dict[str, int] = {}
    for leaf, axes in places.items():
        first = next((axis for axis in axes if axis.axis == 0), axes[0])
        name = first.entry.rpartition(".")[0] or first.entry
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{name}[{taken[name] - 1}]"
        yield PermutationGroup(name, leaf.size, tuple(axes), not leaf.unsigned)
