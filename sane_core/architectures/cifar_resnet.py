"""ResNet-20 to -110 for CIFAR-10 (He et al. 2016, §4.2), as akamaster/pytorch_resnet_cifar10.

Three stages of n blocks, 6n + 2 layers. Shortcuts have no weights ("option A"): where a stage
begins they drop every other pixel and pad the channels with zeros. With `shortcut=projection` they
are a 1x1 convolution and a batch norm there ("option B"), as in pytorchcv.
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from sane_core.architectures.activations import activation_named
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.options import Option


class PaddedShortcut(nn.Module):
    """Every other pixel, between channels of zeros."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.before = (c_out - c_in) // 2
        self.after = c_out - c_in - self.before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features [batch, c_in, height, width] to [batch, c_out, height / 2, width / 2]."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, c_in: int, c_out: int, activation: str, shortcut: str) -> None:
        super().__init__()
        stride = 1 if c_in == c_out else 2
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.activation = activation_named(activation)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut = _shortcut(c_in, c_out, shortcut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features [batch, c_in, height, width] to [batch, c_out, height', width']."""
        out = self.activation(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.activation(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """Stem, three stages of blocks, mean over the map, linear layer."""

    def __init__(
        self,
        blocks: int,
        channels: int,
        classes: int,
        width: int,
        activation: str,
        shortcut: str,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.activation = activation_named(activation)
        self.layer1 = _stage(blocks, width, width, activation, shortcut)
        self.layer2 = _stage(blocks, width, 2 * width, activation, shortcut)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, activation, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        x = self.activation(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.flatten(self.avgpool(x), 1))


def build_cifar_resnet(
    blocks: int,
    /,
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    width: int = 16,
    activation: str = "relu",
    shortcut: str = "padded",
) -> nn.Module:
    """Build a ResNet for small images: 269,722 weights with 3 blocks per stage.

    Args:
        blocks: Blocks per stage.
        channels: Channels of the images.
        size: Pixels per side of the images; every size gives the same network.
        classes: Width of the output.
        width: Width of the first stage; the others have twice and four times as much.
        activation: After every batch norm.
        shortcut: Where a stage begins: `padded` (no weights) or `projection` (1x1 convolution).

    Raises:
        ValueError: If there is no such shortcut or activation.
    """
    if shortcut not in ("padded", "projection"):
        raise ValueError(f"shortcut must be padded or projection, got {shortcut!r}")
    return CifarResNet(blocks, channels, classes, width, activation, shortcut)


def _shortcut(c_in: int, c_out: int, kind: str) -> nn.Module:
    if c_in == c_out:
        return nn.Sequential()
    if kind == "padded":
        return PaddedShortcut(c_in, c_out)
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, 2, bias=False), nn.BatchNorm2d(c_out))


def _stage(blocks: int, c_in: int, c_out: int, activation: str, shortcut: str) -> nn.Sequential:
    widths = [c_in] + [c_out] * (blocks - 1)
    return nn.Sequential(*(CifarBlock(width, c_out, activation, shortcut) for width in widths))


def _infer(entries: int, shapes: Shapes) -> dict[str, Option] | None:
    projected = "layer2.0.shortcut.0.weight" in shapes
    if len(shapes) != entries + 6 * projected:  # two shortcuts of three entries
        return None
    width, channels, _, _ = shapes["conv1.weight"]
    options: dict[str, Option] = {"channels": channels, "width": width}
    options |= {"classes": shapes["linear.weight"][0]}
    return options | {"shortcut": "projection" if projected else "padded"}


def _family(depth: int) -> Family:
    blocks = (depth - 2) // 6
    return Family(
        f"cifar-resnet{depth}",
        partial(build_cifar_resnet, blocks),
        {"conv1.weight": 4, f"layer3.{blocks - 1}.conv2.weight": 4, "linear.weight": 2},
        # A convolution brings three entries: its own and the two of its batch norm.
        partial(_infer, 3 * (depth - 1) + 2),
    )


CIFAR_RESNETS = tuple(_family(depth) for depth in (20, 32, 44, 56, 110))
