"""Linear maps: convolutions, linear layers, matrix products, embeddings."""

from math import lgamma
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
from sane_core.weights.symmetry.rules.elementwise import added, broadcast
from sane_core.weights.symmetry.spaces import Space, concat, product, unify

PIXELS = "it is a place in an image or a sequence"


@modules(nn.Linear)
def linear_module(call: Call, x: Labelled) -> Axes:
    """Contract the last axis."""
    return linear(call, x, call.own("weight"), call.own("bias"))


@functions("linear")
def linear(call: Call, x: Labelled, weight: Any, bias: Labelled | None = None) -> Axes:
    """Contract the last axis of x with the last of weight [out, in]."""
    del call
    unify(x.axis(-1), weight.axis(-1))
    if len(weight.shape) == 1:
        return x.axes[:-1] if bias is None else offset(x.axes[:-1])
    out = (*x.axes[:-1], weight.axis(0))
    if bias is not None:
        unify(bias.axis(0), weight.axis(0))
        offset(out, out[-1])
    return out


@modules(nn.Conv1d, nn.Conv2d, nn.Conv3d)
@modules(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
def convolution_module(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Contract channels."""
    del args, kwargs
    module: Any = call.module
    return _convolved(
        call, x, call.own("weight"), call.own("bias"), module.groups, module.transposed
    )


@functions("conv1d", "conv2d", "conv3d")
@functions("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(
    call: Call,
    x: Labelled,
    weight: Any,
    bias: Labelled | None = None,
    *args: Any,
    groups: int = 1,
    **kwargs: Any,
) -> Axes:
    """Contract channels."""
    del kwargs
    count = args[3] if len(args) > 3 else groups
    return _convolved(call, x, weight, bias, count, call.name.startswith("conv_transpose"))


def _convolved(
    call: Call, x: Labelled, weight: Any, bias: Labelled | None, groups: int, transposed: bool
) -> Axes:
    """Contract channels with weight [out, in / groups, …], transposed [in, out / groups, …]."""
    kernel = weight.axes[2:]
    places = len(kernel)
    shared, own = _grouped(groups, weight.axis(1), weight.axis(0))
    unify(weight.axis(0), own)
    inside, channels = (own, shared) if transposed else (shared, own)
    unify(x.axis(-places - 1), inside)
    for space in (*x.axes[-places:], *kernel):
        space.fix(PIXELS)
    out = (*x.axes[: -places - 1], channels, *fresh(call.shape[-places:], PIXELS))
    if bias is not None:
        unify(bias.axis(0), channels)
        offset(out, channels)
    return out


def _grouped(groups: int, shared: Space, own: Space) -> tuple[Space, Space]:
    """Split a grouped convolution's two axes of channels.

    All groups share one axis of the weights, so its units are reordered alike in each of them. The
    other axis lists the units of each group: either the groups are reordered as wholes, and their
    units alike, or each group's units for themselves. What allows more orders is taken.

    Args:
        groups: How many.
        shared: The weights' axis that all groups share.
        own: The weights' axis that lists the channels of all groups.

    Returns:
        The axes of all channels on the shared side and on the other.
    """
    if groups == 1:
        return shared, own
    each = own.size // groups
    together = lgamma(groups + 1) + lgamma(each + 1)
    if together >= groups * lgamma(each + 1):
        # Flipped along with its inputs and its weights, a group's outputs would stay as they are.
        which = Space(groups).unsign()
        return product([which, shared]), product([which, Space(each)])
    return concat([shared] * groups), concat([Space(each) for _ in range(groups)])


@functions("matmul", "bmm", "mm", "mv", "imatmul")
def matrix_product(call: Call, x: Labelled, y: Labelled) -> Axes:
    """Contract the last axis of x with the last but one of y."""
    if len(x.shape) == 0 or len(y.shape) == 0:
        return unknown(call, x, y)
    unify(x.axis(-1), y.axis(-2 if len(y.shape) > 1 else -1))
    rows = x.axes[-2:-1]
    columns = y.axes[-1:] if len(y.shape) > 1 else ()
    batch = _batch(call, (x, y), len(call.shape) - len(rows) - len(columns))
    return (*batch, *rows, *columns)


@functions("addmm", "baddbmm", "addbmm")
def added_product(call: Call, added_to: Labelled, x: Labelled, y: Labelled, **kwargs: Any) -> Axes:
    """Add a matrix product to a tensor."""
    if call.name == "addbmm" or kwargs:
        return unknown(call, added_to, x, y)
    return added(call, added_to, Labelled(call.shape, matrix_product(call, x, y)))


@functions("einsum")
def einsum(call: Call, equation: Any, *operands: Any) -> Axes:
    """Match axes of equal letters; those that are not in the result are contracted."""
    tensors = operands[0] if len(operands) == 1 and not _is_tensor(operands[0]) else operands
    if not isinstance(equation, str) or "." in equation or "->" not in equation:
        return unknown(call, equation, *operands)
    inputs, result = equation.replace(" ", "").split("->")
    spaces: dict[str, list[Space]] = {}
    for letters, tensor in zip(inputs.split(","), tensors, strict=True):
        for letter, space in zip(letters, tensor.axes, strict=True):
            spaces.setdefault(letter, []).append(space)
    for letter, own in spaces.items():
        same_units(*own)
        # Signs cancel in a sum of products of two, and pass through one factor alone.
        if len(own) != (1 if letter in result else 2):
            own[0].unsign()
    return tuple(spaces[letter][0] for letter in result)


@modules(nn.Embedding)
def embedding_module(call: Call, index: Labelled) -> Axes:
    """Look units up."""
    return embedding(call, index, call.own("weight"))


@functions("embedding")
def embedding(call: Call, index: Labelled, weight: Any, *args: Any, **kwargs: Any) -> Axes:
    """Look rows of weight [words, dim] up."""
    del call, args, kwargs
    weight.axis(0).fix("it is looked up by its number")
    return (*index.axes, weight.axis(1))


@modules(nn.Bilinear)
def bilinear(call: Call, x: Labelled, y: Labelled) -> Axes:
    """Contract two last axes with weight [out, in of x, in of y]."""
    weight: Any = call.own("weight")
    bias = call.own("bias")
    unify(x.axis(-1), weight.axis(1))
    unify(y.axis(-1), weight.axis(2))
    batch = broadcast(call.shape[:-1], *(Labelled(t.shape[:-1], t.axes[:-1]) for t in (x, y)))
    same_units(weight.axis(0), bias.axis(0) if bias is not None else None)
    return offset((*batch, weight.axis(0)), weight.axis(0))


def _batch(call: Call, tensors: tuple[Labelled, ...], axes: int) -> Axes:
    """Match the axes before the matrices."""
    stacks = [Labelled(t.shape[:-2], t.axes[:-2]) for t in tensors if len(t.shape) > 2]
    batch = broadcast(call.shape[:axes], *stacks)
    for space in batch:
        space.unsign()
    return batch


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Labelled)
