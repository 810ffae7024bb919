"""Operations on each number alone, and on numbers at equal places of several tensors."""

from typing import Any

from torch import nn

from sane_core.weights.symmetry.labels import (
    Axes,
    Call,
    Labelled,
    fresh,
    functions,
    modules,
    same_units,
    tensors_in,
)
from sane_core.weights.symmetry.spaces import Space


@functions(
    *("alias", "atan", "atanh", "asinh", "clone", "contiguous", "cpu", "cuda", "detach", "double"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "erf", "erfinv", "feature_dropout"),
    *("float", "half", "bfloat16", "hardshrink", "neg", "negative", "positive", "pos", "sign"),
    *("sin", "sinh", "softshrink", "softsign", "tan", "tanh", "tanhshrink", "to", "type_as"),
)
@modules(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Identity, nn.Hardshrink, nn.Tanh)
@modules(nn.Softshrink, nn.Softsign, nn.Tanhshrink)
def odd(call: Call, x: Labelled, *args: Any, **kwargs: Any) -> Axes:
    """Pass units on, and their signs: f(-x) = -f(x). Integers may have none."""
    del args, kwargs
    if not call.floating:
        x.unsign()
    return x.axes


@functions(
    *("abs", "absolute", "alpha_dropout", "bool", "celu", "ceil", "clamp", "clamp_max"),
    *("clamp_min", "clip", "cos", "cosh", "elu", "exp", "expm1", "feature_alpha_dropout", "floor"),
    *(
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "int",
        "invert",
        "isfinite",
        "isinf",
        "isnan",
    ),
    *("leaky_relu", "log", "log10", "log1p", "log2", "logical_not", "logit", "logsigmoid", "long"),
    *("mish", "nan_to_num", "pow", "reciprocal", "relu", "relu6", "round", "rrelu", "rsqrt"),
    *("selu", "sigmoid", "silu", "softplus", "sqrt", "square", "threshold", "trunc"),
)
@modules(nn.AlphaDropout, nn.CELU, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh)
@modules(nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.RReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU)
@modules(nn.FeatureAlphaDropout, nn.Sigmoid, nn.Softplus, nn.Threshold)
def even_or_neither(call: Call, x: Any, *args: Any, **kwargs: Any) -> Axes:
    """Pass units on, but not their signs."""
    return combined(call, x, *args, *kwargs.values())


@functions("add", "iadd", "sub", "isub", "subtract")
def added(call: Call, x: Any, y: Any, **kwargs: Any) -> Axes:
    """Match units; signs are passed on where both have them."""
    del kwargs
    out = broadcast(call.shape, x, y)
    for axis in range(1, len(out) + 1):
        if not all(_runs_along(operand, axis, out[-axis].size) for operand in (x, y)):
            out[-axis].unsign()
    return out


@functions("mul", "imul", "multiply", "div", "divide", "truediv", "itruediv", "true_divide")
def multiplied(call: Call, x: Any, y: Any, **kwargs: Any) -> Axes:
    """Match units; signs are passed on from the one of both that has them."""
    out = broadcast(call.shape, x, y)
    for axis in range(1, len(out) + 1):
        if kwargs or all(_runs_along(operand, axis, out[-axis].size) for operand in (x, y)):
            out[-axis].unsign()
    return out


@functions(
    *("addcdiv", "addcmul", "atan2", "bitwise_and", "bitwise_or", "eq", "floor_divide", "fmod"),
    *("ge", "gt", "hypot", "le", "lerp", "logaddexp", "logical_and", "logical_or", "logical_xor"),
    *("lt", "masked_fill", "maximum", "minimum", "ne", "remainder", "rsub", "where", "xlogy"),
    *("and", "or", "floordiv", "mod"),
)
def combined(call: Call, *operands: Any, **kwargs: Any) -> Axes:
    """Match the units of all operands; signs are not passed on."""
    out = broadcast(call.shape, *operands, *kwargs.values())
    for space in out:
        space.unsign()
    return out


@functions("prelu")
@modules(nn.PReLU)
def prelu(call: Call, x: Labelled, weight: Labelled | None = None) -> Axes:
    """Pass channels on, each with its slope, or one slope for all."""
    slope = weight or call.own("weight")
    if slope is not None and slope.shape[0] > 1:
        same_units(x.axis(1), slope.axis(0))
    x.unsign()
    return x.axes


@functions(
    *("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"),
    *("zeros", "ones", "full"),
)
def constant(call: Call, *args: Any, **kwargs: Any) -> Axes:
    """Make a tensor of one value: any order of it is the same."""
    del args, kwargs
    out = fresh(call.shape)
    for space in out:
        space.unsign()
    return out


def broadcast(shape: tuple[int, ...], *operands: Any) -> Axes:
    """Match axes from the last one on, as PyTorch does; an axis of one unit fits any."""
    out = []
    for axis in range(len(shape), 0, -1):
        size = shape[-axis]
        spaces = [
            tensor.axis(-axis)
            for tensor in tensors_in(operands)
            if len(tensor.shape) >= axis and tensor.shape[-axis] == size
        ]
        same_units(*spaces)
        out.append(spaces[0] if spaces else Space(size))
    return tuple(out)


def _runs_along(operand: Any, axis: int, size: int) -> bool:
    return (
        isinstance(operand, Labelled)
        and len(operand.shape) >= axis
        and operand.shape[-axis] == size
        and size > 1
    )
