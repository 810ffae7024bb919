"""The layers of a network as rows: which entries a layer pools, and how wide a row is (paper §2).

A weight tensor [c_out, c_1, ..., c_in] is a matrix [c_out, c_r]; its bias is one more column.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod


@dataclass(frozen=True)
class Layer:
    """One weight tensor with its bias.

    Attributes:
        l: Counter of the weight tensor in the network, from 0.
        name: Entry prefix; the weight is `<name>.weight`, the bias `<name>.bias`.
        shape: Shape of the weight.
        has_bias: Whether a bias is pooled in.
    """

    l: int
    name: str
    shape: tuple[int, ...]
    has_bias: bool

    @property
    def entries(self) -> list[str]:
        """State-dict entries pooled in the layer: the weight and, if there is one, the bias."""
        return [f"{self.name}.weight"] + ([f"{self.name}.bias"] if self.has_bias else [])

    @property
    def c_out(self) -> int:
        """Rows: outgoing channels."""
        return self.shape[0]

    @property
    def c_r(self) -> int:
        """Columns without the bias: the remaining dimensions, flattened."""
        return prod(self.shape[1:])

    @property
    def row(self) -> int:
        """Columns with the bias."""
        return self.c_r + self.has_bias

    def chunks(self, d_t: int) -> int:
        """Return tokens per row."""
        return ceil(self.row / d_t)

    def tokens(self, d_t: int) -> int:
        """Return tokens of the whole layer, n_l = c_out · ceil(row / d_t)."""
        return self.c_out * self.chunks(d_t)


def layers_of(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Layer, ...]:
    """Return the layers of a network in state-dict order.

    Args:
        shapes: Entry -> shape.

    Raises:
        ValueError: If a weight or bias belongs to no layer.
    """
    weights = [
        name for name, shape in shapes.items() if name.endswith(".weight") and len(shape) >= 2
    ]
    layers = tuple(
        Layer(
            l,
            name.removesuffix(".weight"),
            shapes[name],
            name.removesuffix("weight") + "bias" in shapes,
        )
        for l, name in enumerate(weights)
    )
    pooled = {f"{layer.name}.{kind}" for layer in layers for kind in ("weight", "bias")}
    if strange := sorted(set(shapes) - pooled):
        raise ValueError(f"every entry must belong to a layer of >= 2 axes, got {strange}")
    return layers


def largest_row(layers: tuple[Layer, ...]) -> int:
    """Return the token size that holds every row in one token (d_t = 0 means this)."""
    return max(layer.row for layer in layers)
