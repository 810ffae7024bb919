"""Normalizations: they treat every unit of the normalized axes alike."""

from math import lgamma
from typing import Any

from torch import nn

from sane_core.weights.symmetry.labels import (
    Axes,
    Call,
    Labelled,
    functions,
    modules,
    offset,
    same_units,
)
from sane_core.weights.symmetry.spaces import Space, concat, product, unify


@modules(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
def batch_norm_module(call: Call, x: Labelled) -> Axes:
    """Normalize every channel for itself."""
    return _per_channel_module(call, x, 1)


@modules(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
def instance_norm_module(call: Call, x: Labelled) -> Axes:
    """Normalize every channel of every image for itself; images may come without a batch."""
    places = int(type(call.module).__name__[len("InstanceNorm")])
    return _per_channel_module(call, x, len(x.shape) - places - 1)


def _per_channel_module(call: Call, x: Labelled, axis: int) -> Axes:
    statistics = call.own("running_mean"), call.own("running_var")
    for name in ("running_var", "weight"):
        if call.own(name) is not None:
            call.keep_signs(getattr(call.module, name))
    return _per_channel(x, axis, (*statistics, call.own("weight"), call.own("bias")))


@functions("batch_norm", "instance_norm")
def per_channel(call: Call, x: Labelled, *own: Any, **kwargs: Any) -> Axes:
    """Normalize every channel for itself; each has its mean, variance, scale and shift."""
    del call
    x.axis(1).unsign()
    return _per_channel(x, 1, (*own[:4], *kwargs.values()))


def _per_channel(x: Labelled, axis: int, own: tuple[Any, ...]) -> Axes:
    channels = x.axis(axis)
    same_units(channels, *(tensor.axis(0) for tensor in own if _is_tensor(tensor)))
    return offset(x.axes, channels)


@modules(nn.LayerNorm)
def layer_norm_module(call: Call, x: Labelled) -> Axes:
    """Normalize over the last axes."""
    module: Any = call.module
    shape = module.normalized_shape
    return layer_norm(call, x, shape, call.own("weight"), call.own("bias"))


@functions("layer_norm")
def layer_norm(call: Call, x: Labelled, shape: Any, *own: Any, **kwargs: Any) -> Axes:
    """Normalize over the last axes: mean and variance do not depend on the order of units."""
    del call
    over = x.axes[len(x.axes) - len(tuple(shape)) :]
    for tensor in (*own[:2], *kwargs.values()):
        if isinstance(tensor, Labelled):
            for space, theirs in zip(over, tensor.axes, strict=True):
                unify(space, theirs)
    return offset(x.axes)


@modules(nn.RMSNorm)
def rms_norm_module(call: Call, x: Labelled) -> Axes:
    """Normalize over the last axes by the root of the mean square."""
    module: Any = call.module
    own = call.own("weight")
    if own is not None:
        call.keep_signs(module.weight)
        for space, theirs in zip(x.axes[-len(module.normalized_shape) :], own.axes, strict=True):
            unify(space, theirs)
    return x.axes


@functions("rms_norm")
def rms_norm(call: Call, x: Labelled, shape: Any, *own: Any, **kwargs: Any) -> Axes:
    """Normalize over the last axes by the root of the mean square."""
    return layer_norm(call, x, shape, *own, **kwargs)


@modules(nn.GroupNorm)
def group_norm_module(call: Call, x: Labelled) -> Axes:
    """Normalize groups of channels."""
    module: Any = call.module
    return group_norm(call, x, module.num_groups, call.own("weight"), call.own("bias"))


@functions("group_norm")
def group_norm(call: Call, x: Labelled, groups: Any, *own: Any, **kwargs: Any) -> Axes:
    """Normalize groups of channels: within a group their order does not matter.

    Either groups are reordered as wholes, and their channels alike, or each group's channels for
    themselves. What allows more orders is taken.
    """
    del call
    channels = x.axis(1)
    same_units(channels, *(t.axis(0) for t in (*own[:2], *kwargs.values()) if _is_tensor(t)))
    each = channels.size // groups
    if lgamma(groups + 1) + lgamma(each + 1) >= groups * lgamma(each + 1):
        unify(channels, product([Space(groups), Space(each)]))
    else:
        unify(channels, concat([Space(each) for _ in range(groups)]))
    return offset(x.axes)


@functions("normalize")
def normalize(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Divide by a norm, which depends neither on order nor on signs."""
    del call, args, kwargs
    return x.axes


@functions("softmax", "log_softmax", "softmin", "gumbel_softmax")
@modules(nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)
def softmax(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Pass units on, but not their signs."""
    del call, args, kwargs
    x.unsign()
    return x.axes


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Labelled)
