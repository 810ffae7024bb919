"""The shapes of a network's layers' outputs, found on PyTorch's meta device: no memory, no time."""

from functools import cache
from math import prod
from typing import Any

import torch
from torch import nn

from sane_core.architectures.architecture import Architecture


@cache
def output_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return module without submodules -> shape of its output for one image."""
    shapes: dict[str, tuple[int, ...]] = {}
    module = architecture.outline
    handles = []
    for name, layer in module.named_modules():
        if next(layer.children(), None) is None:

            def note(_: nn.Module, __: Any, out: torch.Tensor, name: str = name) -> None:
                if isinstance(out, torch.Tensor):
                    shapes[name] = tuple(out.shape[1:])

            handles.append(layer.register_forward_hook(note))
    try:
        with torch.no_grad():
            module(torch.empty(2, *architecture.input_shape, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def activations_of(architecture: Architecture) -> int:
    """Return how many numbers a network's layers put out for one image, the image included."""
    shapes = output_shapes(architecture).values()
    return prod(architecture.input_shape) + sum(prod(shape) for shape in shapes)


def dropouts_of(architecture: Architecture) -> dict[str, tuple[float, tuple[int, ...]]]:
    """Return dropout -> (share that it drops, shape of its output for one image)."""
    shapes = output_shapes(architecture)
    return {
        name: (layer.p, shapes[name])
        for name, layer in architecture.outline.named_modules()
        if isinstance(layer, nn.Dropout) and name in shapes
    }
