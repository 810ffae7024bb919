"""Elementwise non-linearities by name, as modules and as functions."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

MODULES: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "leakyrelu": nn.LeakyReLU,
}

FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "leakyrelu": functional.leaky_relu,
}


def activation_named(kind: str) -> nn.Module:
    """Return a new module of this kind.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in MODULES:
        raise ValueError(f"activation must be one of {sorted(MODULES)}, got {kind!r}")
    return MODULES[kind]()


def activation_with_dropout(kind: str, dropout: float) -> nn.Module:
    """Return a non-linearity, with its dropout if there is any, as one module."""
    if not dropout:
        return activation_named(kind)
    return nn.Sequential(activation_named(kind), nn.Dropout(dropout))
