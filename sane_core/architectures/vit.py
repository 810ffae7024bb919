"""Small vision transformers (Dosovitskiy et al. 2021), under the entry names of timm.

Pre-norm blocks; a class token before the patches, which alone feeds the head; a learned position
embedding for every token.
"""

from math import isqrt

import torch
from torch import nn
from torch.nn import functional

from sane_core.architectures.activations import activation_named
from sane_core.architectures.architecture import Family, Shapes
from sane_core.architectures.options import Option

EPSILON = 1e-6
"""Of every layer norm, as in timm."""


class PatchEmbedding(nn.Module):
    """Cut images into patches, each mapped to one token."""

    def __init__(self, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to tokens [batch, patches, dim]."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Every token attends to every token."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens [batch, n, dim] to tokens of the same shape."""
        qkv = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.proj_drop(self.proj(heads.transpose(1, 2).flatten(2)))


class Mlp(nn.Module):
    """Two linear layers on each token alone."""

    def __init__(self, dim: int, hidden: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = activation_named(activation)
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop2 = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens [batch, n, dim] to tokens of the same shape."""
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(tokens)))))


class Block(nn.Module):
    """Attention, then the perceptron, each beside a shortcut."""

    def __init__(self, dim: int, heads: int, hidden: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, EPSILON)
        self.attn = Attention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim, EPSILON)
        self.mlp = Mlp(dim, hidden, activation, dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens [batch, n, dim] to tokens of the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class VisionTransformer(nn.Module):
    """Patches, class token, positions, blocks, head."""

    def __init__(
        self, embedding: PatchEmbedding, patches: int, blocks: nn.Sequential, dim: int, classes: int
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + patches, dim))
        self.patch_embed = embedding
        self.blocks = blocks
        self.norm = nn.LayerNorm(dim, EPSILON)
        self.head = nn.Linear(dim, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [batch, channels, height, width] to logits [batch, classes]."""
        tokens = self.patch_embed(images)
        first = self.cls_token.expand(tokens.shape[0], -1, -1)
        tokens = torch.cat([first, tokens], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def build_vit(
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    patch: int = 4,
    dim: int = 192,
    depth: int = 6,
    heads: int = 3,
    hidden: int = 768,
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a vision transformer: 2,693,578 weights by default.

    Args:
        channels: Channels of the images.
        size: Pixels per side of the images, a multiple of `patch`.
        classes: Width of the output.
        patch: Pixels per side of a patch.
        dim: Width of a token, a multiple of `heads`.
        depth: Blocks.
        heads: Attention heads per block.
        hidden: Width inside the blocks' perceptrons.
        activation: Inside the perceptrons.
        dropout: After the attention's projection and in the perceptrons.

    Raises:
        ValueError: If the size or the width is no such multiple.
    """
    for what, value, of, divisor in (("size", size, "patch", patch), ("dim", dim, "heads", heads)):
        if value % divisor:
            raise ValueError(f"{what} must be a multiple of {of} ({divisor}), got {value}")
    blocks = nn.Sequential(*(Block(dim, heads, hidden, activation, dropout) for _ in range(depth)))
    embedding = PatchEmbedding(channels, patch, dim)
    return VisionTransformer(embedding, (size // patch) ** 2, blocks, dim, classes)


def _infer(shapes: Shapes) -> dict[str, Option] | None:
    """Read everything off but the heads: they are taken to be 64 wide, as in the published nets."""
    dim, channels, patch, _ = shapes["patch_embed.proj.weight"]
    entries, rest = divmod(len(shapes) - len(OUTSIDE), 12)
    if rest or entries < 1:
        return None
    return {
        "channels": channels,
        "size": patch * isqrt(shapes["pos_embed"][1] - 1),
        "classes": shapes["head.weight"][0],
        "patch": patch,
        "dim": dim,
        "depth": entries,
        "heads": max(h for h in range(1, max(1, dim // 64) + 1) if dim % h == 0),
        "hidden": shapes["blocks.0.mlp.fc1.weight"][0],
    }


OUTSIDE = {
    "cls_token": 3,
    "pos_embed": 3,
    "patch_embed.proj.weight": 4,
    "patch_embed.proj.bias": 1,
    "norm.weight": 1,
    "norm.bias": 1,
    "head.weight": 2,
    "head.bias": 1,
}
"""Entries outside the blocks -> number of axes."""

VIT = Family("vit", build_vit, OUTSIDE | {"blocks.0.mlp.fc1.weight": 2}, _infer)
