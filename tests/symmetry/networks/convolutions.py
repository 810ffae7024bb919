"""Convolutional networks: grouped, depthwise, dense, with skips, in one and three dimensions."""

import torch
from torch import nn
from torch.nn import functional

from tests.symmetry.networks.case import has_groups


class Head(nn.Module):
    """Mean over the map, then a linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, 4)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


def conv_bn(c_in, c_out, kernel=3, **options):
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


@has_groups(4, 6, possible=(2, 6))
class GroupedConvolution(nn.Module):
    """8 = 2 x 4 channels into 12 = 2 x 6: the channels that are alike in both blocks before the
    grouped convolution (4); after it, those of each block (6, 6), or the blocks (2) and the
    channels that are alike in them (6)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=2)
        self.head = Head(12)

    def forward(self, x):
        return self.head(torch.relu(self.grouped(torch.relu(self.stem(x)))))


@has_groups(6, 12)
class InvertedResidual(nn.Module):
    """The stream (6); the expanded channels (12), before and after the depthwise layer."""

    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 6)
        self.expand = conv_bn(6, 12, 1)
        self.depthwise = conv_bn(12, 12, groups=12)
        self.project = conv_bn(12, 6, 1)
        self.head = Head(6)

    def forward(self, x):
        x = functional.relu6(self.stem(x))
        hidden = functional.relu6(self.depthwise(functional.relu6(self.expand(x))))
        return self.head(x + self.project(hidden))


@has_groups(4, 2)
class DepthMultiplier(nn.Module):
    """Each of 4 channels becomes 2: the channels (4), each a block of 2 afterwards, and the two
    that are alike in every block (2)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.depthwise = nn.Conv2d(4, 8, 3, groups=4)
        self.head = Head(8)

    def forward(self, x):
        return self.head(torch.tanh(self.depthwise(torch.tanh(self.stem(x)))))


class DenseLayer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, x):
        return torch.cat([x, self.conv(torch.relu(self.norm(x)))], 1)


@has_groups(6, 4, 4, 5)
class DenseNet(nn.Module):
    """The stem (6) and what each dense layer adds (4, 4) are parts of what follows; then the
    transition (5)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.dense = nn.Sequential(DenseLayer(6), DenseLayer(10))
        self.norm, self.transition = nn.BatchNorm2d(14), nn.Conv2d(14, 5, 1)
        self.pool, self.head = nn.AvgPool2d(2), Head(5)

    def forward(self, x):
        x = self.transition(torch.relu(self.norm(self.dense(self.stem(x)))))
        return self.head(torch.relu(self.pool(x)))


@has_groups(4, 6, 7, 5, 4, 3)
class UNet(nn.Module):
    """Two levels of the encoder (4, 6), the bottom (7), a level of the decoder (5), the transposed
    convolution (4) and the last level (3); the output map is 2 channels."""

    def __init__(self):
        super().__init__()
        self.encode = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)])
        self.bottom = nn.Conv2d(6, 7, 3, padding=1)
        self.decode = nn.ModuleList([nn.Conv2d(13, 5, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)])
        self.up, self.out = nn.ConvTranspose2d(5, 4, 2, stride=2), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        fine = torch.relu(self.encode[0](x))
        coarse = torch.relu(self.encode[1](functional.max_pool2d(fine, 2)))
        x = torch.relu(self.bottom(functional.max_pool2d(coarse, 2)))
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = torch.relu(self.decode[0](torch.cat([x, coarse], dim=1)))
        x = torch.relu(self.decode[1](torch.cat([self.up(x), fine], dim=1)))
        return self.out(x)


@has_groups(6, 4)
class GroupedTransposed(nn.Module):
    """A depthwise transposed convolution keeps its channels (6); an ordinary one has its outputs
    on the second axis (4)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2, groups=6)
        self.mix, self.head = nn.ConvTranspose2d(6, 4, 3), Head(4)

    def forward(self, x):
        return self.head(torch.relu(self.mix(torch.relu(self.up(torch.relu(self.stem(x)))))))


@has_groups(3, 2, 4, 5, 6)
class Inception(nn.Module):
    """Each branch (3; 2 then 4; 5) is a part of the concatenation; then 6."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)
        self.three = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 3, padding=1))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(3, 5, 1))
        self.mix, self.head = nn.Conv2d(12, 6, 1), Head(6)

    def forward(self, x):
        branches = torch.cat([self.one(x), self.three(x), self.pool(x)], dim=1)
        return self.head(torch.relu(self.mix(torch.relu(branches))))


@has_groups(4, 4, 5, possible=(2, 4))
class ChannelShuffle(nn.Module):
    """8 = 2 x 4 channels: those alike before (4) and after (4) the grouped layer, which the shuffle
    lays out as 4 x 2; then 5. Also the blocks (2), or those after it in each block (4, 4)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.mix, self.head = nn.Conv2d(8, 5, 1), Head(5)

    def forward(self, x):
        x = torch.relu(self.grouped(torch.relu(self.stem(x))))
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).flatten(1, 2)
        return self.head(torch.relu(self.mix(self.depthwise(x))))


@has_groups(6, 7, 5, 10)
class PreActivationResNet(nn.Module):
    """The first stream (6) and a block's inside (7); where the stream widens, the inside (5) and
    the second stream (10), which the shortcut's convolution and the block's last one feed."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (6, 7, 6, 5, 10))
        self.a, self.b = nn.Conv2d(6, 7, 3, padding=1), nn.Conv2d(7, 6, 3, padding=1)
        self.c, self.d = nn.Conv2d(6, 5, 3, 2, padding=1), nn.Conv2d(5, 10, 3, padding=1)
        self.shortcut, self.head = nn.Conv2d(6, 10, 1, 2), Head(10)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.b(torch.relu(self.norms[1](self.a(torch.relu(self.norms[0](x))))))
        ready = torch.relu(self.norms[2](x))
        x = self.shortcut(ready) + self.d(torch.relu(self.norms[3](self.c(ready))))
        return self.head(torch.relu(self.norms[4](x)))


@has_groups(4, 5, 6, 2, 2)
class PaddedShortcuts(nn.Module):
    """The stream (4), which is channels 2 to 5 of the wider one; the insides of two blocks (5, 6);
    the first and the last two channels of the wider stream, where the shortcut is zeros (2, 2)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.a, self.b = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.c, self.d = nn.Conv2d(4, 6, 3, 2, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.head = Head(8)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.b(torch.relu(self.a(x))))
        shortcut = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return self.head(torch.relu(shortcut + self.d(torch.relu(self.c(x)))))


@has_groups(8, 4)
class SqueezeExcitation(nn.Module):
    """The channels (8), which their own gates scale, and the squeezed units (4)."""

    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 8)
        self.squeeze, self.excite = nn.Linear(8, 4), nn.Linear(4, 8)
        self.head = Head(8)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return self.head(x * gates[:, :, None, None])


@has_groups(6, 5)
class PReLUNet(nn.Module):
    """A slope per channel moves with its channel (6); a shared one belongs to nobody (5)."""

    def __init__(self):
        super().__init__()
        self.a, self.own = nn.Conv2d(3, 6, 3), nn.PReLU(6)
        self.b, self.shared = nn.Conv2d(6, 5, 3), nn.PReLU()
        self.head = Head(5)

    def forward(self, x):
        return self.head(self.shared(self.b(self.own(self.a(x)))))


@has_groups(6, 5, inputs=(3, 2, 12))
class OneDimension(nn.Module):
    """Two convolutions (6, 5); the flatten makes each of 5 a block of 3."""

    def __init__(self):
        super().__init__()
        self.a, self.pool = nn.Conv1d(2, 6, 3), nn.MaxPool1d(2)
        self.b, self.norm = nn.Conv1d(6, 5, 3), nn.BatchNorm1d(5)
        self.fc = nn.Linear(15, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.b(self.pool(torch.relu(self.a(x))))))
        return self.fc(x.reshape(x.shape[0], -1))


@has_groups(5, 4, inputs=(3, 1, 4, 6, 6))
class ThreeDimensions(nn.Module):
    """Two convolutions (5, 4)."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv3d(1, 5, 3, padding=1), nn.BatchNorm3d(5)
        self.b, self.fc = nn.Conv3d(5, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        x = functional.max_pool3d(torch.relu(self.norm(self.a(x))), 2)
        return self.fc(functional.adaptive_avg_pool3d(torch.relu(self.b(x)), 1).flatten(1))


@has_groups(5)
class ChannelsLast(nn.Module):
    """Flattened with the channels last, each of 5 channels recurs every 5 columns."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 5, 3, stride=2), nn.Linear(45, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).permute(0, 2, 3, 1).flatten(1))


@has_groups(5, 3, 6)
class PixelShuffle(nn.Module):
    """5 channels, then 3 x 4 of which each 4 are the pixels of one: the blocks move (3), the
    pixels do not; then 6."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.c, self.head = nn.Conv2d(3, 6, 3), Head(6)

    def forward(self, x):
        x = self.shuffle(self.b(torch.relu(self.a(x))))
        return self.head(torch.relu(self.c(torch.relu(x))))
