"""Multi-layer perceptrons on flattened images.

Entries are `module_list.<1, 3, 5, ...>`: place 0 flattens, each non-linearity takes one place.
"""

import re
from math import isqrt

from torch import nn

from sane_core.architectures.activations import activation_with_dropout
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.cnn import SequentialNet
from sane_core.architectures.options import Option


def build_mlp(
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    hidden: str = "64x64",
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a perceptron: 55,050 weights for 1x28x28 and two hidden layers of 64.

    Args:
        channels: Channels of the images.
        size: Pixels per side; 1 where the "images" are vectors of `channels` features.
        classes: Width of the output.
        hidden: Widths of the hidden layers, such as 64x32x32.
        activation: Between the layers.
        dropout: Share of hidden units that are dropped in training.

    Raises:
        ValueError: If the widths read otherwise.
    """
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", hidden):
        raise ValueError(f"hidden must read like 64 or 64x32, got {hidden!r}")
    modules: list[nn.Module] = [nn.Flatten()]
    width = channels * size * size
    for following in map(int, hidden.split("x")):
        modules += [nn.Linear(width, following), activation_with_dropout(activation, dropout)]
        width = following
    return SequentialNet([*modules, nn.Linear(width, classes)])


def _infer(shapes: Shapes) -> dict[str, Option] | None:
    """Read the widths off; inputs are taken for grey or colour squares where they can be."""
    names = [f"module_list.{i}.weight" for i in range(1, len(shapes), 2)]
    if any(len(shapes.get(name, ())) != 2 for name in names):
        return None
    *hidden, classes = (shapes[name][0] for name in names)
    inputs = shapes[names[0]][1]
    fitting = (c for c in (1, 3) if inputs % c == 0 and isqrt(inputs // c) ** 2 * c == inputs)
    channels = next(fitting, inputs)
    return {
        "channels": channels,
        "size": isqrt(inputs // channels),
        "classes": classes,
        "hidden": "x".join(map(str, hidden)),
    }


MLP = Family("mlp", build_mlp, {"module_list.1.weight": 2, "module_list.3.weight": 2}, _infer)
