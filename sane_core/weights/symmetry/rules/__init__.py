"""What is known of PyTorch's operations, a file per kind; importing this registers all of it."""

from sane_core.weights.symmetry.rules import (
    attention,
    elementwise,
    linear,
    normalization,
    pooling,
    reduction,
    reshape,
    slicing,
)

__all__ = [
    "attention",
    "elementwise",
    "linear",
    "normalization",
    "pooling",
    "reduction",
    "reshape",
    "slicing",
]
