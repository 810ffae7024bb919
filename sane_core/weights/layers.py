"""The layers of a network as rows: which entries a layer pools, and how wide a row is (paper §2).

A weight tensor [c_out, c_1, ..., c_in] is a matrix [c_out, c_r]; its bias is one more column. Every
trained entry is in exactly one layer, in the order of the state dict:

- An entry of two or more axes is a layer (a class token or a position embedding as well).
- So is an entry of one axis, [c] as [c, 1] (the scale of a layer norm), and a scalar as [1, 1].
- A bias joins the entry that is called as it is with `weight` for `bias` (`fc.weight`,
  `in_proj_weight`, `weight_ih_l0`) if it has a value per row. Otherwise it is a layer of its own,
  as that of a transposed convolution, whose rows are incoming channels.
- An entry without values is a layer without tokens; it is there again after the round trip.
- A parameter that a state dict holds under two names is two layers; an architecture's `shapes()`
  name it once.

Running statistics and counters are buffers and never in a layer. What else belongs to a module with
running statistics, the scale and shift of a batch norm, is left out (`batch_norm = "exclude"`, the
paper's text) or a layer [c, 1] with its bias (`"affine"`).

Differs from the published code for ResNets, which cuts running mean and variance into tokens too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sane_core.architectures.architecture import Architecture

BatchNorm = Literal["exclude", "affine"]
"""What becomes of the scale and shift of modules with running statistics."""


@dataclass(frozen=True)
class Layer:
    """One entry with its bias.

    Attributes:
        l: Counter of the layer in the network, from 0.
        name: The weight's entry, without a final `.weight`; unique in a network.
        weight: Entry of the weight.
        shape: Shape of the weight.
        bias: Entry of the bias that is pooled in, if there is one.
    """

    l: int
    name: str
    weight: str
    shape: tuple[int, ...]
    bias: str | None = None

    @property
    def has_bias(self) -> bool:
        """Whether a bias is pooled in."""
        return self.bias is not None

    @property
    def entries(self) -> list[str]:
        """State-dict entries pooled in the layer: the weight and, if there is one, the bias."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    @property
    def c_out(self) -> int:
        """Rows: outgoing channels."""
        return self.shape[0] if self.shape else 1

    @property
    def c_r(self) -> int:
        """Columns without the bias: the remaining dimensions, flattened."""
        return prod(self.shape[1:])

    @property
    def row(self) -> int:
        """Columns with the bias."""
        return self.c_r + self.has_bias

    @property
    def size(self) -> int:
        """Weights of the layer, with the bias."""
        return self.c_out * self.row

    def chunks(self, d_t: int) -> int:
        """Return tokens per row."""
        return ceil(self.row / d_t)

    def tokens(self, d_t: int) -> int:
        """Return tokens of the whole layer, n_l = c_out · ceil(row / d_t)."""
        return self.c_out * self.chunks(d_t)


def layers_of(
    shapes: Mapping[str, tuple[int, ...]],
    buffers: Collection[str] = (),
    batch_norm: BatchNorm = "exclude",
) -> tuple[Layer, ...]:
    """Return the layers of a network in state-dict order.

    Args:
        shapes: Trained entry -> shape.
        buffers: Names of the network's buffers. A `running_mean` among them tells a batch norm;
            without it, its scale and shift look like those of a layer norm.
        batch_norm: Leave modules with running statistics out, or cut their affine entries.

    Raises:
        ValueError: If no entry is left.
    """
    if batch_norm == "exclude":
        shapes = {name: s for name, s in shapes.items() if _sibling(name) not in buffers}
    owners: dict[str, str] = {}
    for weight, shape in shapes.items():
        bias = _bias_of(weight)
        if bias in shapes and shapes[bias] == shape[:1]:
            owners.setdefault(bias, weight)
    biases = {weight: bias for bias, weight in owners.items()}
    weights = [name for name in shapes if name not in owners]
    if not weights:
        raise ValueError("a network must have trained entries to cut into tokens, got none")
    return tuple(
        Layer(l, name.removesuffix(".weight"), name, tuple(shapes[name]), biases.get(name))
        for l, name in enumerate(weights)
    )


def layers_of_architecture(
    architecture: "Architecture", batch_norm: BatchNorm = "exclude"
) -> tuple[Layer, ...]:
    """Return the layers of an architecture.

    Raises:
        ValueError: If a parameter in a layer is not of floating point, or there is none at all.
    """
    layers = layers_of(architecture.shapes(), architecture.buffers(), batch_norm)
    parameters = dict(architecture.outline.named_parameters())
    for layer in layers:
        for name in layer.entries:
            if not parameters[name].dtype.is_floating_point:
                raise ValueError(
                    f"entry {name} of {architecture.name} must be of floating point to be cut into "
                    f"tokens, got {parameters[name].dtype}; register it as a buffer"
                )
    return layers


def largest_row(layers: tuple[Layer, ...]) -> int:
    """Return the token size that holds every row in one token (d_t = 0 means this).

    A position embedding [1, n, dim] is one long row: transformers need a smaller size.
    """
    return max([1, *(layer.row for layer in layers)])


def token_count(layers: tuple[Layer, ...], d_t: int) -> int:
    """Return the tokens N of a whole network.

    Raises:
        ValueError: If `d_t` is not positive.
    """
    if d_t < 1:
        raise ValueError(f"d_t must be >= 1, got {d_t}")
    return sum(layer.tokens(d_t) for layer in layers)


def _bias_of(weight: str) -> str:
    """Return what the bias of an entry would be called; no name at all if it is no weight."""
    module, dot, own = weight.rpartition(".")
    return module + dot + own.replace("weight", "bias") if "weight" in own else ""


def _sibling(entry: str) -> str:
    """Return what the running mean beside an entry would be called."""
    module, dot, _ = entry.rpartition(".")
    return f"{module}{dot}running_mean"
