"""Masked reconstruction of whole models, run in windows of any length (Eq. 5, Figure 6).

The input is clean: no noise, no permutation, in float32. Every token counts once, in the window it
is kept of; a window of 0 tokens stands for the whole model. Memory does not depend on the length of
the models, unless they are run whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sane_core.ablation.stream import Piece, stream
from sane_core.embedding.embed import has_one_latent, reconstruct
from sane_core.embedding.halo import split_with_halo
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.weights.layers import Layer, token_count
from sane_core.weights.tokens import mask_of

TOKENS = 2**13
"""Tokens per pass, about."""


@dataclass(frozen=True)
class Errors:
    """What is lost of checkpoints.

    Attributes:
        squared: Sum of squared errors over real weights, float64 [checkpoints, layers].
        weights: Real weights, int64 [checkpoints, layers].
    """

    squared: np.ndarray
    weights: np.ndarray


def reconstruction_errors(
    model: Autoencoder,
    tokens: Path,
    layers: tuple[Layer, ...],
    split: str,
    checkpoints: Sequence[tuple[int, int]],
    window: int,
    halo: int = 0,
) -> Errors:
    """Reconstruct checkpoints and sum up what is lost.

    Args:
        model: Trained autoencoder.
        tokens: The `tokens/` folder of the preprocess stage.
        layers: Layers of the architecture.
        split: "train", "validation" or "test".
        checkpoints: (run, epoch) of each.
        window: Tokens kept per pass; 0 for all.
        halo: Context tokens on either side of them.

    Raises:
        ValueError: If a checkpoint is not in the split, or the model takes whole models only and
            the window does not hold them.
    """
    length = token_count(layers, model.shape.d_t)
    window = kept_window(window, length)
    if has_one_latent(model) and not window == length <= model.shape.window:
        raise ValueError(
            f"an autoencoder with one latent per model takes whole models of at most "
            f"{model.shape.window} tokens, got windows of {window} of models of {length}"
        )
    row = {checkpoint: i for i, checkpoint in enumerate(checkpoints)}
    found = Errors(np.zeros((len(row), len(layers))), np.zeros((len(row), len(layers)), np.int64))
    chunks = split_with_halo(length, window, halo)
    for pieces in _batches(stream(tokens, split, row, chunks)):
        _add(found, [row[piece.checkpoint] for piece in pieces], pieces, model)
    if missing := [c for c in checkpoints if not found.weights[row[c]].any()]:
        raise ValueError(
            f"split {split} must hold every checkpoint (run, epoch) asked for, lacks {missing[:3]}"
        )
    return found


def kept_window(window: int, length: int) -> int:
    """Return how many tokens of a model of `length` a window holds; 0 stands for all."""
    return min(window, length) if window else length


def _batches(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Gather pieces of equal length, about `TOKENS` tokens at a time."""
    waiting: dict[int, list[Piece]] = {}
    for piece in pieces:
        length = len(piece.lengths)
        waiting.setdefault(length, []).append(piece)
        if len(waiting[length]) * length >= TOKENS:
            yield waiting.pop(length)
    yield from waiting.values()


def _add(found: Errors, rows: list[int], pieces: list[Piece], model: Autoencoder) -> None:
    tokens, positions, lengths = (
        np.stack([getattr(piece, name) for piece in pieces])
        for name in ("tokens", "positions", "lengths")
    )
    decoded = reconstruct(model, *map(torch.from_numpy, (tokens, positions, lengths))).numpy()
    mask = mask_of(lengths, tokens.shape[2])
    lost = (np.square(decoded - tokens) * mask).sum(axis=2, dtype=np.float64)
    for row, piece, squares in zip(rows, pieces, lost, strict=True):
        kept = slice(piece.chunk.start - piece.chunk.low, piece.chunk.stop - piece.chunk.low)
        layer = piece.positions[kept, 1]
        np.add.at(found.squared[row], layer, squares[kept])
        np.add.at(found.weights[row], layer, piece.lengths[kept])
