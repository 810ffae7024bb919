"""The shapes of a network's layers' outputs, found on PyTorch's meta device: no memory, no time."""

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import torch
from torch import nn

from sane_core.architectures.activations import MODULES
from sane_core.architectures.architecture import Architecture
from sane_core.zoo.population.members import Member


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


def largest_patches(architecture: Architecture) -> int:
    """Return how many numbers lie under a convolution's kernels at once, for one image.

    On the way back the gradient's patches are cut, as many as the input has places.
    """
    shapes = output_shapes(architecture)
    largest = 0
    for name, layer in architecture.outline.named_modules():
        if isinstance(layer, nn.Conv2d) and name in shapes:
            c_out, *sides = shapes[name]
            kernel, stride = layer.kernel_size, layer.stride
            forward = layer.in_channels * prod(sides)
            borders = zip(sides, stride, kernel, strict=True)
            backward = c_out * prod(side * step + k - 1 for side, step, k in borders)
            largest = max(largest, prod(kernel) * max(forward, backward))
    return largest


def classes_of(architecture: Architecture) -> int:
    """Return the width of the network's output."""
    with torch.no_grad():
        pixels = torch.empty(2, *architecture.input_shape, device="meta")
        return int(architecture.outline(pixels).shape[1])


def dropouts_of(architecture: Architecture) -> dict[str, tuple[float, tuple[int, ...]]]:
    """Return dropout -> (share that it drops, shape of its output for one image)."""
    shapes = output_shapes(architecture)
    return {
        name: (layer.p, shapes[name])
        for name, layer in architecture.outline.named_modules()
        if isinstance(layer, nn.Dropout) and name in shapes
    }


def check_places(architecture: Architecture, members: Sequence[Member]) -> None:
    """Make sure that what members have of their own has a place in the network.

    Raises:
        ValueError: If a dropout or a non-linearity would change nothing.
    """
    name = architecture.name
    if any(member.dropout for member in members) and not dropouts_of(architecture):
        raise ValueError(
            f"dropout of {name} must be 0 or not given: it has no dropout layer; ask for them in "
            "the architecture's options, such as cnn[dropout=0.5]"
        )
    kinds = {type(layer) for layer in architecture.outline.modules()}
    if any(member.activation for member in members) and kinds.isdisjoint(MODULES.values()):
        raise ValueError(
            f"activation of {name} must not be given: none of its layers is a module of "
            f"{', '.join(MODULES)}"
        )
