"""The small CNNs of the published model zoos (Schürholt et al. 2022), and one for 8x8 digits.

Entry names follow the published zoos: `module_list.<i>`, where modules without weights count too.
"""

from collections.abc import Sequence
from math import isqrt

import torch
from torch import nn

from sane_core.architectures.activations import activation_named, activation_with_dropout
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.options import Option, require_at_least


class SequentialNet(nn.Module):
    """Modules in order, under the name `module_list`."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.module_list = nn.ModuleList(modules)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        for module in self.module_list:
            images = module(images)
        return images


def build_cnn(
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    activation: str = "tanh",
    dropout: float = 0.0,
) -> nn.Module:
    """Build the CNN of the MNIST and SVHN zoos: 2,464 weights for 1x28x28."""
    require_at_least("size", size, 20)
    side = ((size - 4) // 2 - 4) // 2 - 1
    return SequentialNet(
        [
            nn.Conv2d(channels, 8, 5),
            nn.MaxPool2d(2),
            activation_with_dropout(activation, dropout),
            nn.Conv2d(8, 6, 5),
            nn.MaxPool2d(2),
            activation_with_dropout(activation, dropout),
            nn.Conv2d(6, 4, 2),
            activation_with_dropout(activation, dropout),
            nn.Flatten(),
            nn.Linear(4 * side * side, 20),
            activation_with_dropout(activation, dropout),
            nn.Linear(20, classes),
        ]
    )


def build_cnn3(
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """Build the CNN of the CIFAR-10 and STL-10 zoos: 10,853 weights for 3x32x32."""
    require_at_least("size", size, 22)
    side = (((size - 2) // 2 - 2) // 2 - 2) // 2
    modules: list[nn.Module] = []
    for c_in, c_out in ((channels, 16), (16, 32), (32, 15)):
        modules += [nn.Conv2d(c_in, c_out, 3), nn.MaxPool2d(2)]
        modules += [activation_named(activation), nn.Dropout(dropout)]
    modules += [nn.Flatten(), nn.Linear(15 * side * side, 20)]
    modules += [activation_named(activation), nn.Dropout(dropout), nn.Linear(20, classes)]
    return SequentialNet(modules)


def build_digits_cnn(
    channels: int = 1,
    size: int = 8,
    classes: int = 10,
    activation: str = "tanh",
    dropout: float = 0.0,
) -> nn.Module:
    """Build the published CNN shrunk to 8x8 digits: 1,568 weights, 48 tokens, largest row 73."""
    require_at_least("size", size, 4)
    side = size // 2 - 1
    return SequentialNet(
        [
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.MaxPool2d(2),
            activation_with_dropout(activation, dropout),
            nn.Conv2d(8, 6, 3, padding=1),
            activation_with_dropout(activation, dropout),
            nn.Conv2d(6, 4, 2),
            activation_with_dropout(activation, dropout),
            nn.Flatten(),
            nn.Linear(4 * side * side, 20),
            activation_with_dropout(activation, dropout),
            nn.Linear(20, classes),
        ]
    )


def _landmarks(places: Sequence[int]) -> dict[str, int]:
    """Return the axes of every weight: three convolutions, then two linear layers."""
    return {f"module_list.{i}.weight": 4 if k < 3 else 2 for k, i in enumerate(places)}


def _options(shapes: Shapes, places: Sequence[int]) -> dict[str, int]:
    """Read off the channels, the classes and the side of the map that is flattened."""
    first, last_conv, flattened, last = (
        shapes[f"module_list.{places[k]}.weight"] for k in (0, 2, 3, 4)
    )
    side = isqrt(flattened[1] // last_conv[0])
    return {"channels": first[1], "size": side, "classes": last[0]}


CNN_PLACES = (0, 3, 6, 9, 11)
CNN3_PLACES = (0, 4, 8, 13, 16)
DIGITS_PLACES = (0, 3, 5, 8, 10)


def _infer_cnn(shapes: Shapes) -> dict[str, Option] | None:
    # Pooling drops odd rows, so neighbouring sizes share a shape; the published one is 28.
    options = _options(shapes, CNN_PLACES)
    return {**options, "size": 4 * options["size"] + 16}


def _infer_cnn3(shapes: Shapes) -> dict[str, Option] | None:
    # 30 to 37 pixels a side all end in 2 x 2; the published size is 32.
    options = _options(shapes, CNN3_PLACES)
    return {**options, "size": 8 * options["size"] + 16}


def _infer_digits(shapes: Shapes) -> dict[str, Option] | None:
    options = _options(shapes, DIGITS_PLACES)
    return {**options, "size": 2 * options["size"] + 2}


CNN = Family("cnn", build_cnn, _landmarks(CNN_PLACES), _infer_cnn)
CNN3 = Family("cnn3", build_cnn3, _landmarks(CNN3_PLACES), _infer_cnn3)
DIGITS_CNN = Family("digits-cnn", build_digits_cnn, _landmarks(DIGITS_PLACES), _infer_digits)
