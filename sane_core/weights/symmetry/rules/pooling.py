"""Pooling and resampling: places change, channels stay."""

from typing import Any

from torch import nn

from sane_core.weights.symmetry.labels import Axes, Call, Labelled, fresh, functions, modules
from sane_core.weights.symmetry.rules.linear import PIXELS


@functions("avg_pool2d", "adaptive_avg_pool2d")
@modules(nn.AvgPool2d, nn.AdaptiveAvgPool2d)
def averaged_2d(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Average over places of an image."""
    del args, kwargs
    return moved(call, x, 2)


@functions("avg_pool1d", "adaptive_avg_pool1d")
@modules(nn.AvgPool1d, nn.AdaptiveAvgPool1d)
def averaged_1d(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Average over places of a sequence."""
    del args, kwargs
    return moved(call, x, 1)


@functions("avg_pool3d", "adaptive_avg_pool3d")
@modules(nn.AvgPool3d, nn.AdaptiveAvgPool3d)
def averaged_3d(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Average over places of a volume."""
    del args, kwargs
    return moved(call, x, 3)


@functions("max_pool2d", "adaptive_max_pool2d", "lp_pool2d")
@modules(nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d)
def largest_2d(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Take the largest over places of an image."""
    x.unsign()
    return averaged_2d(call, x, *args, **kwargs)


@functions("max_pool1d", "adaptive_max_pool1d", "lp_pool1d")
@modules(nn.MaxPool1d, nn.AdaptiveMaxPool1d, nn.LPPool1d)
def largest_1d(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Take the largest over places of a sequence."""
    x.unsign()
    return averaged_1d(call, x, *args, **kwargs)


@functions("max_pool3d", "adaptive_max_pool3d", "lp_pool3d")
@modules(nn.MaxPool3d, nn.AdaptiveMaxPool3d, nn.LPPool3d)
def largest_3d(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Take the largest over places of a volume."""
    x.unsign()
    return averaged_3d(call, x, *args, **kwargs)


@functions("interpolate", "upsample")
@modules(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
def resampled(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Change the number of places."""
    del args, kwargs
    return moved(call, x, len(x.shape) - 2)


def moved(call: Call, x: Labelled, places: int) -> Axes:
    """Mix the last axes, which are places, within each channel."""
    for space in x.axes[-places:]:
        space.fix(PIXELS)
    return (*x.axes[:-places], *fresh(call.shape[-places:], PIXELS))
