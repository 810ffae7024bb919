"""VGG-11, -16 and -19 (Simonyan & Zisserman 2015), under torchvision's entry names.

`batch_norm=1` is torchvision's `vgg<depth>_bn`. Two heads: `imagenet` has torchvision's three
linear layers on a 7x7 map; `cifar`, for 32 pixels, is one linear layer named `classifier`, after
the mean over the map, as CIFAR repositories publish it.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from sane_core.architectures.activations import activation_named
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.options import Option, require_at_least

STAGES = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth -> convolutions before each of the five max-poolings."""


class VGG(nn.Module):
    """Convolutions, mean pooling, classifier."""

    def __init__(self, features: nn.Sequential, side: int, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        return self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))


def build_vgg(
    stages: Sequence[int],
    /,
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    width: int = 64,
    batch_norm: bool = False,
    head: str = "cifar",
    activation: str = "relu",
) -> nn.Module:
    """Build a VGG.

    Args:
        stages: Convolutions of each stage.
        channels: Channels of the images.
        size: Pixels per side of the images, at least 32; every size gives the same network.
        classes: Width of the output.
        width: Width of the first stage; the others have 2, 4, 8 and 8 times as much.
        batch_norm: Whether every convolution is followed by a batch norm.
        head: `cifar` or `imagenet`; the latter's hidden layers (64 * width) have dropout 0.5.
        activation: After every hidden layer.

    Raises:
        ValueError: If the images are smaller, or there is no such head or activation.
    """
    require_at_least("size", size, 32)
    if head not in ("cifar", "imagenet"):
        raise ValueError(f"head must be cifar or imagenet, got {head!r}")
    modules: list[nn.Module] = []
    for stage, count in enumerate(stages):
        c_out = width * min(2**stage, 8)
        for _ in range(count):
            modules.append(nn.Conv2d(channels, c_out, 3, padding=1))
            modules += [nn.BatchNorm2d(c_out)] if batch_norm else []
            modules.append(activation_named(activation))
            channels = c_out
        modules.append(nn.MaxPool2d(2))
    features = nn.Sequential(*modules)
    if head == "cifar":
        return VGG(features, 1, nn.Linear(channels, classes))
    return VGG(features, 7, _imagenet_head(channels * 7 * 7, 64 * width, classes, activation))


def _imagenet_head(inputs: int, hidden: int, classes: int, activation: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        activation_named(activation),
        nn.Dropout(0.5),
        nn.Linear(hidden, hidden),
        activation_named(activation),
        nn.Dropout(0.5),
        nn.Linear(hidden, classes),
    )


def _infer(convolutions: int, shapes: Shapes) -> dict[str, Option] | None:
    batch_norm = len(shapes.get("features.1.weight", ())) == 1
    head = "cifar" if "classifier.weight" in shapes else "imagenet"
    last = shapes.get("classifier.weight" if head == "cifar" else "classifier.6.weight", ())
    layers = convolutions * (2 if batch_norm else 1) + (1 if head == "cifar" else 3)
    if len(shapes) != 2 * layers or len(last) != 2:
        return None
    width, channels, _, _ = shapes["features.0.weight"]
    return {
        "channels": channels,
        "classes": last[0],
        "width": width,
        "batch_norm": batch_norm,
        "head": head,
    }


VGGS = tuple(
    Family(
        f"vgg{depth}",
        partial(build_vgg, stages),
        {"features.0.weight": 4, "features.0.bias": 1},
        partial(_infer, sum(stages)),
    )
    for depth, stages in STAGES.items()
)
