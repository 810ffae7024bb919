"""Transformers: attention written in six ways, and mixing without attention.

The units of a head are its width D, alike in all heads, for queries and keys together (D) and for
values (D); the heads are a group of their own (H). A bias of the keys adds the same number to a
query's scores of every key, which the softmax does not see.
"""

import torch
from torch import nn
from torch.nn import functional

from tests.symmetry.networks.case import has_groups


class Patches(nn.Module):
    """Four patches of 4 x 4 pixels as tokens [batch, 4, dim]."""

    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, stride=4)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class FusedAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class SeparateAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.width = heads, dim // heads
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def split(self, x):
        return x.view(x.size(0), x.size(1), self.heads, self.width).transpose(1, 2)

    def forward(self, x):
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        scores = torch.softmax(q @ k.transpose(-2, -1) * self.width**-0.5, dim=-1)
        mixed = (scores @ v).transpose(1, 2).contiguous()
        return self.out(mixed.view(x.size(0), x.size(1), -1))


class LibraryAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.inside = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x):
        return self.inside(x, x, x, need_weights=False)[0]


class Transformer(nn.Module):
    """A class token before the patches, positions, one block, a head for the class token."""

    def __init__(self, attention):
        super().__init__()
        self.patches = Patches(8)
        self.first = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 5, 8))
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(3))
        self.attention, self.mlp = attention, Mlp(8, 12)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.patches(x)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x)[:, 0])


@has_groups(8, 2, 4, 4, 12)
class FusedTransformer(Transformer):
    """The stream (8), heads (2), queries and keys (4), values (4), the perceptron (12)."""

    def __init__(self):
        super().__init__(FusedAttention(8, 2))


@has_groups(8, 2, 4, 4, 12, invisible=("attention.k.bias",))
class SeparateTransformer(Transformer):
    """The same groups."""

    def __init__(self):
        super().__init__(SeparateAttention(8, 2))


@has_groups(12, possible=(8, 2, 4, 4))
class LibraryTransformer(Transformer):
    """At least the perceptron (12), if PyTorch's own attention is not looked into."""

    def __init__(self):
        super().__init__(LibraryAttention(8, 2))


@has_groups(8, 6, 5, 10)
class LayerScale(nn.Module):
    """One head: the stream (8), queries and keys (6), values (5), the perceptron (10)."""

    def __init__(self):
        super().__init__()
        self.patches = Patches(8)
        self.q, self.k = nn.Linear(8, 6), nn.Linear(8, 6, bias=False)
        self.v, self.proj = nn.Linear(8, 5), nn.Linear(5, 8)
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.gamma1, self.gamma2 = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(1, 1, 8))
        self.mlp, self.head = Mlp(8, 10), nn.Linear(8, 4)

    def forward(self, x):
        x = self.patches(x)
        ready = self.norm1(x)
        scores = torch.bmm(self.q(ready), self.k(ready).mT).softmax(-1)
        x = x + self.gamma1 * self.proj(torch.bmm(scores, self.v(ready)))
        x = x + self.gamma2 * self.mlp(self.norm2(x))
        return self.head(x.mean(1))


@has_groups(8, 2, 4, 3, 12, inputs=(3, 7), vocabulary=20)
class Einsums(nn.Module):
    """Causal attention on words, in einsums over weights with an axis for the heads: the stream
    (8), heads (2), queries and keys (4), values (3), the perceptron (12)."""

    def __init__(self):
        super().__init__()
        self.words, self.positions = nn.Embedding(20, 8), nn.Parameter(torch.randn(7, 8))
        self.wq, self.wk = nn.Parameter(torch.randn(8, 2, 4)), nn.Parameter(torch.randn(8, 2, 4))
        self.wv, self.wo = nn.Parameter(torch.randn(8, 2, 3)), nn.Parameter(torch.randn(2, 3, 8))
        self.register_buffer("mask", torch.ones(7, 7).tril().bool())
        self.norm, self.mlp, self.head = nn.LayerNorm(8), Mlp(8, 12), nn.Linear(8, 20)

    def forward(self, words):
        x = self.words(words) + self.positions
        q, k = torch.einsum("bnc,chd->bhnd", x, self.wq), torch.einsum("bnc,chd->bhnd", x, self.wk)
        v = torch.einsum("bnc,chd->bhnd", x, self.wv)
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k).masked_fill(~self.mask, -1e9)
        mixed = torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), v)
        x = x + torch.einsum("bhnd,hdc->bnc", mixed, self.wo)
        return self.head(x + self.mlp(self.norm(x)))


@has_groups(12, 4, possible=(8, 6, 5), inputs=(3, 3, 16, 16))
class ShiftedWindows(nn.Module):
    """Tokens of a 4 x 4 map, shifted and cut into windows of 2 x 2, attend within their window:
    at least the perceptron (12) and the last layer (4); also the stream (8), queries and keys (6)
    and values (5)."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.q, self.k = nn.Linear(8, 6), nn.Linear(8, 6, bias=False)
        self.v, self.proj = nn.Linear(8, 5), nn.Linear(5, 8)
        self.norm, self.mlp = nn.LayerNorm(8), Mlp(8, 12)
        self.last, self.head = nn.Linear(8, 4), nn.Linear(4, 3)

    def attend(self, x):
        B, H, W, C = x.shape
        x = torch.roll(x, shifts=(-1, -1), dims=(1, 2))
        x = x.view(B, H // 2, 2, W // 2, 2, C).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, C)
        scores = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        x = self.proj(scores @ self.v(x))
        x = x.view(B, H // 2, W // 2, 2, 2, C).permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, C)
        return torch.roll(x, shifts=(1, 1), dims=(1, 2))

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        x = x + self.attend(x)
        x = x + self.mlp(self.norm(x))
        return self.head(torch.relu(self.last(x.mean((1, 2)))))


@has_groups(4, 4, 4)
class SquareMixer(nn.Module):
    """As many tokens as channels and hidden units, 4, so that sizes tell nothing: the stream, the
    units that mix tokens, the units that mix channels; tokens are places of the image and stay."""

    def __init__(self):
        super().__init__()
        self.patches = Patches(4)
        self.norms = nn.ModuleList(nn.LayerNorm(4) for _ in range(3))
        self.tokens, self.channels = Mlp(4, 4), Mlp(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.patches(x)
        x = x + self.tokens(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norms[1](x))
        return self.head(self.norms[2](x).mean(1))


@has_groups(8, 12, inputs=(3, 7), vocabulary=20)
class TextClassifier(nn.Module):
    """The width of the embedding (8), the hidden layer (12); words stay."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.hidden, self.out = nn.Linear(8, 12), nn.Linear(12, 4)

    def forward(self, words):
        return self.out(torch.relu(self.hidden(self.words(words).mean(dim=1))))


@has_groups(8, 12, inputs=(3, 7), vocabulary=20, invisible=("words.weight",))
class TiedEmbedding(nn.Module):
    """The head's weight is the embedding's, under two names: the stream (8), the perceptron (12).

    A change of `words.weight` alone is undone when `head.weight` is loaded after it.
    """

    def __init__(self):
        super().__init__()
        self.words, self.mlp = nn.Embedding(20, 8), Mlp(8, 12)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.words.weight

    def forward(self, words):
        x = self.words(words)
        return self.head(x + self.mlp(x))
