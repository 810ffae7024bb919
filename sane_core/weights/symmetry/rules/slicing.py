"""Parts of tensors, and tensors put together."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sane_core.weights.symmetry.labels import (
    Axes,
    Call,
    Labelled,
    fresh,
    functions,
    modules,
    offset,
    same_units,
    unknown,
)
from sane_core.weights.symmetry.spaces import Space, concat, unify

PICKED = "one of its units is picked by its number"
STEPS = "units are picked by their number"


@functions("cat", "concat", "concatenate")
def concatenated(call: Call, tensors: Any, dim: Any = 0, **kwargs: Any) -> Axes:
    """List the units of all tensors along one axis; the others match."""
    axis = kwargs.get("axis", dim) % len(call.shape)
    tensors = [tensor for tensor in tensors if len(tensor.shape) == len(call.shape)]
    out = []
    for i in range(len(call.shape)):
        spaces = [tensor.axis(i) for tensor in tensors]
        if i != axis:
            same_units(*spaces)
        out.append(concat(spaces) if i == axis else spaces[0])
    return tuple(out)


@functions("stack")
def stacked(call: Call, tensors: Any, dim: Any = 0) -> Axes:
    """Put tensors along a new axis."""
    axis = dim % len(call.shape)
    for spaces in zip(*(tensor.axes for tensor in tensors), strict=True):
        same_units(*spaces)
    kept = tensors[0].axes
    return (*kept[:axis], Space(call.shape[axis], "it numbers what is stacked"), *kept[axis:])


@functions("chunk", "split", "tensor_split", "split_with_sizes")
def split(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> tuple[Axes, ...]:
    """Cut one axis into parts."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0) % len(x.shape)
    parts = [Space(shape[dim]) for shape in call.shape]
    unify(x.axis(dim), concat(parts))
    return tuple((*x.axes[:dim], part, *x.axes[dim + 1 :]) for part in parts)


@functions("glu")
@modules(nn.GLU)
def gated(call: Call, x: Labelled, dim: int | None = None) -> Axes:
    """Multiply the first half of an axis by a gate made of the second."""
    module: Any = call.module
    axis = (module.dim if module is not None else -1 if dim is None else dim) % len(x.shape)
    half = Space(call.shape[axis])
    unify(x.axis(axis), concat([half, half]))
    return offset((*x.axes[:axis], half, *x.axes[axis + 1 :]))


@functions("unbind")
def unbind(call: Call, x: Labelled, dim: int = 0) -> tuple[Axes, ...]:
    """Take an axis apart."""
    return tuple(_picked(x, dim, i) for i in range(len(call.shape)))


@functions("select")
def select(call: Call, x: Labelled, dim: int, index: int) -> Axes:
    """Pick one unit of an axis."""
    del call
    return _picked(x, dim, index)


def _picked(x: Labelled, dim: int, index: int) -> Axes:
    numbers = x.axis(dim).fix(PICKED)
    rest = [space for i, space in enumerate(x.axes) if i != dim % len(x.shape)]
    return tuple(numbers.variants[s][index] if s in numbers.variants else s for s in rest)


@functions("narrow")
def narrow(call: Call, x: Labelled, dim: int, start: int, length: int) -> Axes:
    """Keep a range of an axis."""
    del call
    dim %= len(x.shape)
    kept = _range(x.axis(dim), start % x.shape[dim], start % x.shape[dim] + length, 1)
    return (*x.axes[:dim], kept, *x.axes[dim + 1 :])


@functions("getitem")
def getitem(call: Call, x: Any, index: Any) -> Any:
    """Index a tensor by numbers, ranges, None and the ellipsis."""
    if not isinstance(x, Labelled):
        return unknown(call, x, index)
    if type(index) is int:
        return _picked(x, 0, index)
    items = list(index) if isinstance(index, tuple) else [index]
    plain = all(item is None or item is ... or isinstance(item, int | slice) for item in items)
    if not plain or any(isinstance(item, bool) for item in items):
        return unknown(call, x, index)
    named = sum(item is not None and item is not ... for item in items)
    if ... in items:
        at = items.index(...)
        items[at : at + 1] = [slice(None)] * (len(x.shape) - named)
    out: list[Space] = []
    rest = iter(x.axes)
    for item in items:
        if item is None:
            out.append(Space(1))
        elif isinstance(item, slice):
            space = next(rest)
            out.append(_range(space, *item.indices(space.size)))
        else:
            next(rest).fix(PICKED)
    return (*out, *rest)


def _range(space: Space, start: int, stop: int, step: int) -> Space:
    size = len(range(start, stop, step))
    if size == space.size and step == 1:
        return space
    if step != 1:
        space.fix(STEPS)
        return Space(size, STEPS)
    kept = Space(size)
    unify(space, concat([Space(start), kept, Space(space.size - start - size)]))
    return kept


@functions("pad")
def pad(call: Call, x: Labelled, padding: Any, mode: str = "constant", value: Any = None) -> Axes:
    """Add equal numbers at the ends of axes: their order does not matter."""
    amounts = _amounts(padding, len(x.shape))
    out: list[Space] = []
    for space, (before, after), size in zip(x.axes, amounts, call.shape, strict=True):
        if not (before or after):
            out.append(space)
        elif mode != "constant" or before < 0 or after < 0:
            space.fix(STEPS)
            out.append(Space(size, STEPS))
        else:
            out.append(concat([Space(before), space, Space(after)]))
    return offset(tuple(out)) if value else tuple(out)


@modules(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)
@modules(nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)
def constant_pad_module(call: Call, x: Labelled) -> Axes:
    """Add equal numbers at the ends of axes."""
    module: Any = call.module
    return pad(call, x, module.padding, "constant", module.value)


@modules(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d)
@modules(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d)
@modules(nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d)
def mirrored_pad_module(call: Call, x: Labelled) -> Axes:
    """Add numbers of the axes at their ends."""
    module: Any = call.module
    return pad(call, x, module.padding, "reflect")


def _amounts(padding: Sequence[int], axes: int) -> list[tuple[int, int]]:
    """Return (before, after) per axis; PyTorch lists the last axis first."""
    pairs = list(zip(padding[::2], padding[1::2], strict=True))
    return [(0, 0)] * (axes - len(pairs)) + pairs[::-1]


@functions("arange", "linspace", "eye", "rand", "randn", "tensor")
def numbered(call: Call, *args: Any, **kwargs: Any) -> Axes:
    """Make numbers that depend on their place."""
    del args, kwargs
    return fresh(call.shape, STEPS)
