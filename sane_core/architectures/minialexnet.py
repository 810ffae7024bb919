"""MiniAlexNet for 28x28 crops of CIFAR-10 (paper Figure 7, after Martin & Mahoney 2021).

The network is the "small AlexNet" of Zhang et al. 2017: twice a 5x5 convolution and a 3x3
max-pooling, then linear layers of 384 and 192. No paper gives its strides. Chosen here: the variant
in circulation, convolutions of stride 3 with padding 2 (28 -> 10 -> 4 pixels) and max-poolings of
stride 1, with 96 and 256 channels: 2,271,050 weights. Its first linear layer is 4096 x 384, the
matrix whose spectrum Martin & Mahoney show.

Differs from Zhang et al.: their 1,387,786 weights are those of 64 and 64 channels on a 7x7 map,
with local response normalization after each pooling, which is left out here.
"""

from math import isqrt

import torch
from torch import nn

from sane_core.architectures.activations import activation_named
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.options import Option


class MiniAlexNet(nn.Module):
    """Two convolutions, three linear layers."""

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        return self.classifier(torch.flatten(self.features(images), 1))


def build_minialexnet(
    channels: int = 3,
    size: int = 28,
    classes: int = 10,
    width: int = 96,
    activation: str = "relu",
) -> nn.Module:
    """Build a MiniAlexNet.

    Args:
        channels: Channels of the images.
        size: Pixels per side of the images.
        classes: Width of the output.
        width: Channels of the first convolution; the following layers have 8/3, 4 and 2 times
            as many units, rounded down.
        activation: After every hidden layer.
    """
    side = (size + 8) // 9
    second, third, fourth = 8 * width // 3, 4 * width, 2 * width
    features = nn.Sequential(
        nn.Conv2d(channels, width, 5, stride=3, padding=2),
        activation_named(activation),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.Conv2d(width, second, 5, stride=3, padding=2),
        activation_named(activation),
        nn.MaxPool2d(3, stride=1, padding=1),
    )
    classifier = nn.Sequential(
        nn.Linear(second * side * side, third),
        activation_named(activation),
        nn.Linear(third, fourth),
        activation_named(activation),
        nn.Linear(fourth, classes),
    )
    return MiniAlexNet(features, classifier)


def _infer(shapes: Shapes) -> dict[str, Option] | None:
    width, channels, _, _ = shapes["features.0.weight"]
    side = isqrt(shapes["classifier.0.weight"][1] // shapes["features.3.weight"][0])
    # Nine neighbouring sizes share a map; the published one, 28, is the smallest of them.
    size, classes = 9 * side - 8, shapes["classifier.4.weight"][0]
    return {"channels": channels, "size": size, "classes": classes, "width": width}


LANDMARKS = {
    "features.0.weight": 4,
    "features.3.weight": 4,
    "classifier.0.weight": 2,
    "classifier.4.weight": 2,
}

MINIALEXNET = Family("minialexnet", build_minialexnet, LANDMARKS, _infer)
