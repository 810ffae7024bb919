"""ResNet-18, -34, -50 and -101 (He et al. 2016), under the entry names of torchvision.

The zoos' ResNet-18 has a 3x3 stem of stride 1 and no max-pooling (`stem=cifar`): 11,173,962
weights for 10 classes. The stage widths are w, 2w, 4w and 8w; w is 64 in every published network.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from sane_core.architectures.activations import activation_named
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.options import Option


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = activation_named(activation)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(c_in, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features [batch, c_in, height, width] to [batch, width, height', width']."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two of 1x1, beside a shortcut; the 3x3 one has the stride."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int, activation: str) -> None:
        super().__init__()
        c_out = self.expansion * width
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = activation_named(activation)
        self.downsample = shortcut(c_in, c_out, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features [batch, c_in, height, width] to [batch, 4 * width, height', width']."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class EarlyBottleneck(Bottleneck):
    """A bottleneck whose first 1x1 convolution has the stride, as He et al. first had it."""

    def __init__(self, c_in: int, width: int, stride: int, activation: str) -> None:
        super().__init__(c_in, width, stride, activation)
        self.conv1 = nn.Conv2d(c_in, width, 1, stride, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)


Block = type[BasicBlock] | type[Bottleneck]


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Return nothing where the shapes agree, else a 1x1 convolution and its batch norm."""
    if stride == 1 and c_in == c_out:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


def stage(
    block: Block, count: int, c_in: int, width: int, stride: int, activation: str
) -> nn.Sequential:
    """Return blocks of one width, the first of which takes other channels and has the stride."""
    first = block(c_in, width, stride, activation)
    wide = block.expansion * width
    return nn.Sequential(first, *(block(wide, width, 1, activation) for _ in range(count - 1)))


class ResNet(nn.Module):
    """Stem, four stages of blocks, mean over the map, linear layer."""

    def __init__(
        self,
        block: Block,
        blocks: Sequence[int],
        channels: int,
        classes: int,
        width: int,
        stem: str,
        activation: str,
    ) -> None:
        super().__init__()
        imagenet = stem == "imagenet"
        kernel, stride = (7, 2) if imagenet else (3, 1)
        self.conv1 = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = activation_named(activation)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if imagenet else nn.Sequential()
        wide = block.expansion * width
        self.layer1 = stage(block, blocks[0], width, width, 1, activation)
        self.layer2 = stage(block, blocks[1], wide, 2 * width, 2, activation)
        self.layer3 = stage(block, blocks[2], 2 * wide, 4 * width, 2, activation)
        self.layer4 = stage(block, blocks[3], 4 * wide, 8 * width, 2, activation)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * wide, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def build_resnet(
    block: Block,
    blocks: Sequence[int],
    /,
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    width: int = 64,
    stem: str = "cifar",
    activation: str = "relu",
    strided: str = "3x3",
) -> nn.Module:
    """Build a ResNet.

    Args:
        block: What the stages are made of.
        blocks: Blocks per stage.
        channels: Channels of the images.
        size: Pixels per side of the images; every size gives the same network.
        classes: Width of the output.
        width: Width of the first stage.
        stem: `cifar` (3x3, stride 1) or `imagenet` (7x7, stride 2, then max-pooling).
        activation: After every batch norm.
        strided: Which convolution of a bottleneck has the stride, `3x3` or `1x1`; shapes do not
            tell. Blocks without a bottleneck have `3x3` ones only.

    Raises:
        ValueError: If there is no such stem, activation or strided convolution.
    """
    if strided == "1x1" and block is Bottleneck:
        block = EarlyBottleneck
    elif strided != "3x3":
        raise ValueError(f"strided must be 3x3, or 1x1 in bottlenecks, got {strided!r}")
    if stem not in ("cifar", "imagenet"):
        raise ValueError(f"stem must be cifar or imagenet, got {stem!r}")
    return ResNet(block, blocks, channels, classes, width, stem, activation)


def _infer(entries: int, shapes: Shapes) -> dict[str, Option] | None:
    width, channels, kernel, _ = shapes["conv1.weight"]
    if len(shapes) != entries or kernel not in (3, 7):
        return None
    return {
        "channels": channels,
        "classes": shapes["fc.weight"][0],
        "width": width,
        "stem": "cifar" if kernel == 3 else "imagenet",
    }


def _family(name: str, block: Block, blocks: Sequence[int]) -> Family:
    convolutions, projections = (2, 3) if block is BasicBlock else (3, 4)
    landmarks = {"conv1.weight": 4, "fc.weight": 2}
    landmarks |= {f"layer{k + 1}.{n - 1}.conv1.weight": 4 for k, n in enumerate(blocks)}
    # A convolution brings three entries: its own and the two of its batch norm.
    entries = 3 * (1 + convolutions * sum(blocks) + projections) + 2
    return Family(name, partial(build_resnet, block, blocks), landmarks, partial(_infer, entries))


RESNETS = (
    _family("resnet18", BasicBlock, (2, 2, 2, 2)),
    _family("resnet34", BasicBlock, (3, 4, 6, 3)),
    _family("resnet50", Bottleneck, (3, 4, 6, 3)),
    _family("resnet101", Bottleneck, (3, 4, 23, 3)),
)
