"""Whole networks as windows side by side, and tokens as weights, both with gradient.

`join_whole(cut_whole(tokens).tokens) == tokens`, and `weights_of(tokenize(weights)) == weights` up
to rounding.
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from sane_core.weights.layers import Layer
from sane_core.weights.standardize import Statistics


class Windows(NamedTuple):
    """Whole networks of one architecture, cut into C windows each.

    Attributes:
        tokens: float32 [models · C, W, d_t], zero where padded.
        positions: int64 [models · C, W, 3].
        visible: bool [models · C, 1, 1, W]; None without padding tokens.
        first: Where a network begins in its windows joined together.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor | None
    first: int


def cut_whole(
    tokens: torch.Tensor, positions: torch.Tensor, window: int, first: int = 0
) -> Windows:
    """Cut whole networks into windows side by side, padded at both ends.

    `join_whole(cut_whole(tokens).tokens) == tokens`.

    Args:
        tokens: float32 [models, N, d_t].
        positions: int64 [N, 3], on the CPU or where the tokens are.
        window: Window length W.
        first: Padding tokens before a network, < W.
    """
    models, length, _ = tokens.shape
    count = -(-(first + length) // window)
    last = count * window - first - length
    padded = functional.pad(tokens, (0, 0, first, last))
    places = functional.pad(positions.to(tokens.device), (0, 0, first, last))
    real = functional.pad(torch.ones(length, dtype=torch.bool), (first, last)).to(tokens.device)
    return Windows(
        tokens=padded.reshape(models * count, window, -1),
        positions=places.view(count, window, 3).repeat(models, 1, 1),
        visible=real.view(count, 1, 1, window).repeat(models, 1, 1, 1) if first or last else None,
        first=first,
    )


def join_whole(windows: torch.Tensor, models: int, length: int, first: int = 0) -> torch.Tensor:
    """Join windows [models · C, W, d] of `cut_whole` to [models, N, d], dropping the padding."""
    return windows.reshape(models, -1, windows.shape[-1])[:, first : first + length]


def weights_of(
    tokens: torch.Tensor, layers: tuple[Layer, ...], statistics: Statistics
) -> dict[str, torch.Tensor]:
    """Return raw weights, entry -> [models, ...], with the gradient of the tokens [models, N, d_t].

    Up to rounding to the dtype of the tokens it is `unstandardize(detokenize(tokens))`.
    """
    models, _, d_t = tokens.shape
    weights = {}
    parts = tokens.split([layer.tokens(d_t) for layer in layers], dim=1)
    for layer, part in zip(layers, parts, strict=True):
        offset, scale = statistics.scaling(layer)
        rows = part.reshape(models, layer.c_out, -1)[..., : layer.row] * scale + offset
        weights[layer.weight] = rows[..., : layer.c_r].reshape(models, *layer.shape)
        if layer.bias is not None:
            weights[layer.bias] = rows[..., layer.c_r]
    return weights
