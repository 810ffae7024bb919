"""Architectures as data: a network is a tuple of operations, read by everything that needs it.

The plain module, the population's batched forward pass and the permutation groups all derive from
the same tuple, so they cannot disagree. Entry names follow the published zoos (`module_list.<i>`).
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class Conv:
    """2-d convolution with bias, stride 1."""

    c_in: int
    c_out: int
    kernel: int
    padding: int = 0


@dataclass(frozen=True)
class Linear:
    """Fully connected layer with bias."""

    c_in: int
    c_out: int


@dataclass(frozen=True)
class Activation:
    """Elementwise non-linearity."""

    kind: Literal["tanh", "relu", "gelu"]


@dataclass(frozen=True)
class MaxPool:
    """Max pooling with stride = size."""

    size: int


@dataclass(frozen=True)
class Flatten:
    """[channels, height, width] -> [channels * height * width]; each channel becomes a block."""


Operation = Conv | Linear | Activation | MaxPool | Flatten


@dataclass(frozen=True)
class Architecture:
    """A sequential network.

    Attributes:
        name: Registered name.
        input_shape: Image shape (channels, height, width), pixels in [0, 1].
        operations: In order; the index of an operation is its index in `module_list`.
    """

    name: str
    input_shape: tuple[int, int, int]
    operations: tuple[Operation, ...]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return state-dict entry -> shape, in state-dict order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, operation in enumerate(self.operations):
            if isinstance(operation, Conv):
                kernel = (operation.kernel, operation.kernel)
                shapes[f"module_list.{i}.weight"] = (operation.c_out, operation.c_in, *kernel)
            elif isinstance(operation, Linear):
                shapes[f"module_list.{i}.weight"] = (operation.c_out, operation.c_in)
            else:
                continue
            shapes[f"module_list.{i}.bias"] = (operation.c_out,)
        return shapes

    def parameter_count(self) -> int:
        """Return the number of trained weights."""
        return sum(prod(shape) for shape in self.shapes().values())


DIGITS_CNN = Architecture(
    name="digits-cnn",
    input_shape=(1, 8, 8),
    operations=(
        Conv(1, 8, 3, padding=1),
        MaxPool(2),
        Activation("tanh"),
        Conv(8, 6, 3, padding=1),
        Activation("tanh"),
        Conv(6, 4, 2),
        Activation("tanh"),
        Flatten(),
        Linear(36, 20),
        Activation("tanh"),
        Linear(20, 10),
    ),
)
"""The published CNN shrunk to 8x8 digits: 1,568 weights, 48 tokens, largest row 73."""

ARCHITECTURES = {architecture.name: architecture for architecture in (DIGITS_CNN,)}


def architecture_named(name: str) -> Architecture:
    """Return the registered architecture called `name`.

    Raises:
        ValueError: If there is none.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {sorted(ARCHITECTURES)}, got {name!r}")
    return ARCHITECTURES[name]


class SequentialNet(nn.Module):
    """The plain PyTorch module of an `Architecture`; loads a state dict as sampled or stored."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.module_list = nn.ModuleList(
            _module(operation) for operation in architecture.operations
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        for module in self.module_list:
            images = module(images)
        return images


ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "gelu": nn.functional.gelu}


def _module(operation: Operation) -> nn.Module:
    match operation:
        case Conv(c_in, c_out, kernel, padding):
            return nn.Conv2d(c_in, c_out, kernel, padding=padding)
        case Linear(c_in, c_out):
            return nn.Linear(c_in, c_out)
        case Activation(kind):
            return {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}[kind]()
        case MaxPool(size):
            return nn.MaxPool2d(size)
        case Flatten():
            return nn.Flatten()
