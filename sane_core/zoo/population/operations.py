"""What the operations of a network do to many members at once.

Values have the images of a batch as innermost axis, `[members, channels, height, width, batch]`, so
that an axis of the plain module, but the batch, keeps its number.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sane_core.architectures.activations import FUNCTIONS, MODULES
from sane_core.zoo.population.convolution import Convolution, convolve_and_pool, pool

Tensors = Mapping[str, torch.Tensor]
Step = Callable[..., torch.Tensor]


class Unsupported(ValueError):
    """An operation that this way cannot run for many members at once."""


@dataclass(frozen=True)
class Pass:
    """What one forward pass needs beside the images.

    Attributes:
        weights: Parameter -> [members, ...].
        buffers: Buffer -> [members, ...]; running statistics are updated when training.
        training: Whether batch-norm uses the batch's statistics.
        activations: Kind -> members that have it; empty where all have the architecture's own.
        kept: Dropout -> what its input is multiplied by, [members, batch, ...]; empty where
            nothing is dropped.
    """

    weights: Tensors
    buffers: Tensors = field(default_factory=dict)
    training: bool = False
    activations: Mapping[str, torch.Tensor] = field(default_factory=dict)
    kept: Tensors = field(default_factory=dict)


def _convolution(layer: nn.Conv2d, name: str) -> Step:
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    if (
        layer.groups != 1
        or set(layer.dilation) != {1}
        or layer.padding_mode != "zeros"
        or isinstance(padding, str)
        or any(len(set(pair)) > 1 for pair in (kernel, stride, padding))
    ):
        raise Unsupported(f"{layer} cannot be run for many members at once here")

    def step(state: Pass, x: torch.Tensor) -> torch.Tensor:
        weight, bias = state.weights[f"{name}.weight"], state.weights.get(f"{name}.bias")
        return Convolution.apply(x, weight, bias, stride[0], int(padding[0]))

    return step


def pooled_convolution(layer: nn.Conv2d, name: str, pooling: nn.MaxPool2d, window: int) -> Step:
    """Return what a convolution and the pooling of all its answers by windows do together."""
    convolve, pool_answers = _convolution(layer, name), _max_pool(pooling, "")

    def step(state: Pass, x: torch.Tensor) -> torch.Tensor:
        shared = len(x) == 1 or x.stride(0) == 0
        if torch.is_grad_enabled() or not shared:
            return pool_answers(state, convolve(state, x))
        weight, bias = state.weights[f"{name}.weight"], state.weights.get(f"{name}.bias")
        return convolve_and_pool(x, weight, bias, layer.stride[0], int(layer.padding[0]), window)

    return step


def window_of(pooling: nn.MaxPool2d) -> int | None:
    """Return the side of windows that touch and do not overlap; None if they are others."""
    side = pooling.kernel_size
    plain = pooling.dilation == 1 and not pooling.ceil_mode and not pooling.return_indices
    touching = isinstance(side, int) and pooling.stride == side and pooling.padding == 0
    return side if plain and touching and isinstance(side, int) else None


def _linear(layer: nn.Linear, name: str) -> Step:
    del layer

    def step(state: Pass, x: torch.Tensor) -> torch.Tensor:
        weight, bias = state.weights[f"{name}.weight"], state.weights.get(f"{name}.bias")
        if bias is None:
            return torch.bmm(weight, x)
        return torch.baddbmm(bias.unsqueeze(2), weight, x)

    return step


def _batch_norm(layer: nn.BatchNorm2d, name: str) -> Step:
    if not (layer.affine and layer.track_running_stats) or layer.momentum is None:
        raise Unsupported(f"{layer} cannot be run for many members at once here")

    def step(state: Pass, x: torch.Tensor) -> torch.Tensor:
        mean, var = (state.buffers[f"{name}.running_{kind}"] for kind in ("mean", "var"))
        if state.training:
            state.buffers[f"{name}.num_batches_tracked"].add_(1)
        # Every member's channels are channels of one network, its places and images are one axis.
        weight, bias = (state.weights[f"{name}.{kind}"] for kind in ("weight", "bias"))
        out = functional.batch_norm(
            x.reshape(1, x.shape[0] * x.shape[1], -1),
            mean.reshape(-1),  # a view wherever they are updated: a learner's are its own memory
            var.reshape(-1),
            weight.flatten().to(mean.dtype),
            bias.flatten().to(mean.dtype),
            state.training,
            layer.momentum or 0.0,
            layer.eps,
        )
        return out.view(x.shape)

    return step


def _max_pool(layer: nn.MaxPool2d, name: str) -> Step:
    del name
    if layer.dilation != 1 or layer.ceil_mode:
        raise Unsupported(f"{layer} cannot be run for many members at once here")
    shape = {"stride": layer.stride, "padding": layer.padding, "kernel_size": layer.kernel_size}
    return lambda _, x: pool(x, "max_pool2d", **shape)


def _average_pool(layer: nn.AvgPool2d, name: str) -> Step:
    del name
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    shape = {name: getattr(layer, name) for name in (*names, "divisor_override")}
    return lambda _, x: pool(x, "avg_pool2d", **shape)


def _adaptive_average(layer: nn.AdaptiveAvgPool2d, name: str) -> Step:
    del name
    return lambda _, x: _adaptive(x, layer.output_size)


def _plain(function: Callable[..., torch.Tensor]) -> Step:
    return lambda _, x, **options: function(x, **options)


def _activation(layer: nn.Module, name: str) -> Step:
    del name

    def step(state: Pass, x: torch.Tensor) -> torch.Tensor:
        if not state.activations:
            return layer(x)
        out = torch.empty_like(x)
        for own, members in state.activations.items():
            out = out.index_copy(0, members, FUNCTIONS[own](x.index_select(0, members)))
        return out

    return step


def _dropout(layer: nn.Dropout, name: str) -> Step:
    del layer

    def step(state: Pass, x: torch.Tensor) -> torch.Tensor:
        return x * state.kept[name].movedim(1, -1) if name in state.kept else x

    return step


def _adaptive(x: torch.Tensor, size: Any) -> torch.Tensor:
    if size in (1, (1, 1)):
        return x.mean((2, 3), keepdim=True)
    return pool(x, "adaptive_avg_pool2d", output_size=size)


def _flatten(state: Pass, x: torch.Tensor, start_dim: int = 0, end_dim: int = -1) -> torch.Tensor:
    del state
    if (start_dim, end_dim) != (1, -1):
        raise Unsupported(f"flatten of axes {start_dim} to {end_dim}")
    return x.flatten(1, -2)


def _pad(state: Pass, x: torch.Tensor, pad: Any, mode: str = "constant", value: Any = 0) -> Any:
    del state
    return functional.pad(x, (0, 0, *pad), mode, value)


def _add(state: Pass, a: Any, b: Any) -> Any:
    del state
    return a + b


def _concatenate(state: Pass, tensors: Any, dim: int = 0) -> torch.Tensor:
    del state
    if dim not in (1, 2, 3):
        raise Unsupported(f"cat along axis {dim}")
    return torch.cat(tensors, dim)


def _mean(state: Pass, x: torch.Tensor, dim: Any, keepdim: bool = False) -> torch.Tensor:
    del state
    plain = x.dim() - 1
    axes = [axis % plain for axis in ([dim] if isinstance(dim, int) else dim)]
    if 0 in axes:
        raise Unsupported("mean over the images of a batch")
    return x.mean(axes, keepdim=keepdim)


def _index(state: Pass, x: torch.Tensor, index: Any) -> torch.Tensor:
    del state
    if not isinstance(index, tuple) or index[0] != slice(None):
        raise Unsupported(f"x[{index}]")
    return x[index]


Maker = Callable[[Any, str], Step]
"""(layer, its name) -> what it does to every member at once."""

LAYERS: dict[type[nn.Module], Maker] = {
    **dict.fromkeys(MODULES.values(), _activation),
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _adaptive_average,
    nn.Dropout: _dropout,
    nn.Flatten: lambda layer, name: (
        lambda state, x: _flatten(state, x, layer.start_dim, layer.end_dim)
    ),
    nn.Identity: lambda layer, name: lambda state, x: x,
}

OPERATIONS: dict[Any, Step] = {
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    operator.getitem: _index,
    torch.flatten: _flatten,
    "flatten": _flatten,
    torch.cat: _concatenate,
    torch.mean: _mean,
    "mean": _mean,
    functional.pad: _pad,
    functional.adaptive_avg_pool2d: lambda _, x, output_size: _adaptive(x, output_size),
    functional.avg_pool2d: lambda _, x, kernel_size, **rest: pool(
        x, "avg_pool2d", kernel_size=kernel_size, **rest
    ),
    functional.max_pool2d: lambda _, x, kernel_size, **rest: pool(
        x, "max_pool2d", kernel_size=kernel_size, **{k: v for k, v in rest.items() if v}
    ),
    torch.relu: _plain(torch.relu),
    functional.relu: _plain(functional.relu),
    torch.tanh: _plain(torch.tanh),
    functional.gelu: _plain(functional.gelu),
    torch.sigmoid: _plain(torch.sigmoid),
}
