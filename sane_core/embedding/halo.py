"""Chunks with context for sequences longer than one pass (paper §2, "Haloing").

`stitch(split_with_halo(x)) == x` for every length >= 1.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Chunk:
    """Tokens [start, stop) are kept of a pass over [low, high)."""

    start: int
    stop: int
    low: int
    high: int


def split_with_halo(tokens: int, chunk: int, halo: int) -> tuple[Chunk, ...]:
    """Split a sequence into consecutive chunks with up to `halo` tokens of context on either side.

    Differs from the published code, which fails where the last chunk is shorter than the halo.

    Args:
        tokens: Sequence length, >= 1.
        chunk: Tokens kept per chunk.
        halo: Context tokens on either side; fewer at the ends.

    Raises:
        ValueError: If an argument is out of range.
    """
    if tokens < 1 or chunk < 1:
        raise ValueError(f"tokens and chunk must be >= 1, got {tokens} and {chunk}")
    if halo < 0:
        raise ValueError(f"halo must be >= 0, got {halo}")
    starts = range(0, tokens, chunk)
    return tuple(
        Chunk(
            start,
            min(start + chunk, tokens),
            max(0, start - halo),
            min(start + chunk + halo, tokens),
        )
        for start in starts
    )


def stitch(chunks: tuple[Chunk, ...], passes: list[torch.Tensor]) -> torch.Tensor:
    """Join passes [batch, high - low, d] into [batch, tokens, d], dropping the halos."""
    kept = [
        part[:, c.start - c.low : c.stop - c.low] for c, part in zip(chunks, passes, strict=True)
    ]
    return torch.cat(kept, dim=1)
