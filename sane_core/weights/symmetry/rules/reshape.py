"""The same numbers under other axes: views, transpositions, repetitions."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from sane_core.weights.symmetry.labels import (
    Axes,
    Call,
    Labelled,
    fixed_like,
    fresh,
    functions,
    modules,
    unknown,
)
from sane_core.weights.symmetry.picking import TRANSPOSITIONS, in_order, transposed_order
from sane_core.weights.symmetry.rules.linear import PIXELS
from sane_core.weights.symmetry.spaces import Space, concat, product, unify


@functions("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "ravel")
@functions("reshape_as")
@modules(nn.Flatten, nn.Unflatten)
def reshape(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Compose and split axes."""
    if prod(call.shape) != prod(x.shape) or any(isinstance(a, torch.dtype) for a in args):
        return unknown(call, x, *args, **kwargs)
    if not prod(x.shape):
        x.fix("it belongs to a tensor without numbers")
        return fresh(call.shape, "it belongs to a tensor without numbers")
    picked = call.picked(len(call.shape))
    return _split(x.axes, call.shape, None if picked is None else picked % len(call.shape))


def _split(axes: Axes, shape: Sequence[int], picked: int | None) -> Axes:
    """Return spaces of these sizes that compose what the axes compose; axes of one are free."""
    ours = [i for i, space in enumerate(axes) if space.size != 1]
    theirs = [i for i, size in enumerate(shape) if size != 1]
    out = [Space(1) for _ in shape]
    while ours:
        mine, new = [ours.pop(0)], [theirs.pop(0)]
        while (a := prod(axes[i].size for i in mine)) != (b := prod(shape[i] for i in new)):
            if a < b:
                mine.append(ours.pop(0))
            else:
                new.append(theirs.pop(0))
        whole = product([axes[i] for i in mine])
        parts = [whole] if len(new) == 1 else [Space(shape[i]) for i in new]
        if len(new) > 1 and picked in new:
            _split_apart(whole, parts, new.index(picked))
        else:
            unify(whole, product(parts))
        for i, part in zip(new, parts, strict=True):
            out[i] = part
    return tuple(out)


def _split_apart(whole: Space, parts: Sequence[Space], picked: int) -> None:
    """Split an axis so that the parts behind the picked one differ from unit to unit of it."""
    before, numbers, behind = parts[:picked], parts[picked], parts[picked + 1 :]
    numbers.fix("it numbers what is picked from it")
    variants = [[Space(part.size) for part in behind] for _ in range(numbers.size)]
    unify(whole, product([*before, concat([product(each) for each in variants])]))
    for i, part in enumerate(behind):
        numbers.variants[part] = [each[i] for each in variants]


@functions(*TRANSPOSITIONS)
def transposed(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Reorder axes."""
    order = transposed_order(call.name, len(x.shape), in_order(args, kwargs))
    return tuple(x.axes[i] for i in order)


@functions("T")
def reversed_axes(call: Call, x: Labelled) -> Axes:
    """Reverse all axes."""
    del call
    return x.axes[::-1]


@functions("mT")
def matrix_transposed(call: Call, x: Labelled) -> Axes:
    """Exchange the last two axes."""
    del call
    return (*x.axes[:-2], *reversed(x.axes[-2:]))


@functions("expand", "expand_as", "broadcast_to")
def expanded(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Repeat axes of one unit: any order of equal units is the same."""
    del args, kwargs
    new = len(call.shape) - len(x.shape)
    old = [s if s.size == call.shape[new + i] else None for i, s in enumerate(x.axes)]
    return tuple(
        space if space is not None else Space(size).unsign()
        for space, size in zip([None] * new + old, call.shape, strict=True)
    )


@functions("repeat", "tile")
def repeated(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Repeat axes as wholes."""
    if kwargs:
        return unknown(call, x, *args, **kwargs)
    new = len(call.shape) - len(x.shape)
    out: list[Space] = [Space(size).unsign() for size in call.shape[:new]]
    for space, size in zip(x.axes, call.shape[new:], strict=True):
        if space.size == 1 < size:
            out.append(Space(size).unsign())
        else:
            out.append(concat([space] * (size // space.size)) if space.size else Space(0))
    return tuple(out)


@functions("channel_shuffle")
@modules(nn.ChannelShuffle)
def channel_shuffle(call: Call, x: Labelled, groups: int | None = None) -> Axes:
    """Deal channels out to groups."""
    module: Any = call.module
    count = groups or module.groups
    outer, inner = Space(count), Space(x.shape[1] // count)
    unify(x.axis(1), product([outer, inner]))
    return (x.axis(0), product([inner, outer]), *x.axes[2:])


@functions("pixel_shuffle", "pixel_unshuffle")
@modules(nn.PixelShuffle, nn.PixelUnshuffle)
def pixel_shuffle(call: Call, x: Labelled, *args: Any) -> Axes:
    """Make blocks of channels places of an image, or the other way round."""
    del args
    channels, places = x.axis(-3), x.axes[-2:]
    for space in places:
        space.fix(PIXELS)
    few, many = sorted((channels.size, call.shape[-3]))
    kept, block = Space(few), Space(many // few, PIXELS)
    if channels.size == many:
        unify(channels, product([kept, block]))
        out = kept
    else:
        unify(channels, kept)
        out = product([kept, block])
    return (*x.axes[:-3], out, *fixed_like(call.shape[-2:], PIXELS))
