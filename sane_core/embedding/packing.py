"""Chunks of models of unequal length, packed into passes of a common width (Algorithm 2, iii, iv).

`list(packed(identity, sequences, …)) == [each.values for each in sequences]` for all lengths >= 1.

Models are asked for one after another, and what is in memory is a batch of chunks and the results
that are not complete: how many models there are does not matter. Chunks of a batch are sorted by
their length, so that little of a pass is padding; padding tokens have length 0, which attention
never looks at. Chunks at the same positions share one position embedding.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from sane_core.embedding.halo import Chunk, split_with_halo
from schemas.config.embed import EmbedConfig

Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps values [batch, n, d], positions [batch or 1, n, 3] and lengths [batch or 1, n] to values."""

FILLED = 0.8
"""Share of its width that the shortest chunk of a pass fills at least."""


class Sequence(NamedTuple):
    """What passes through the encoder, or the decoder, of one model.

    Attributes:
        values: Tokens float32 [N, d_t], or latents [N, d_z]; read before the next is asked for.
        positions: int64 [N, 3], `[n, l, k]`.
        lengths: int64 [N], real weights per token.
        label: What messages call it.
    """

    values: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    label: str


@dataclass
class _Result:
    """What is known so far of a model's result, and how many of its chunks are still to come."""

    tokens: int
    left: int
    values: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def put(self, chunk: Chunk, passed: np.ndarray) -> None:
        """Keep a pass over [low, high) without its halo."""
        if not len(self.values):
            self.values = np.empty((self.tokens, passed.shape[1]), np.float32)
        kept = slice(chunk.start - chunk.low, chunk.stop - chunk.low)
        self.values[chunk.start : chunk.stop] = passed[kept]
        self.left -= 1


@dataclass(frozen=True)
class _Part:
    """A chunk that waits for its pass; `positions` and `lengths` are those of the whole model."""

    result: _Result
    chunk: Chunk
    values: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray

    @property
    def width(self) -> int:
        return self.chunk.high - self.chunk.low

    def is_at(self, other: "_Part") -> bool:
        """Return whether it is the same chunk of the same architecture, as far as one can see."""
        return (
            self.chunk == other.chunk
            and self.positions is other.positions
            and self.lengths is other.lengths
        )


def packed(
    step: Step,
    sequences: Iterable[Sequence],
    config: EmbedConfig,
    device: torch.device,
    largest: int | None = None,
) -> Iterator[np.ndarray]:
    """Pass sequences in chunks with halo.

    Args:
        step: The encoder or the decoder.
        sequences: Models, of any lengths >= 1.
        config: Chunk, halo, and chunks in memory at once.
        device: Where the step takes its arguments.
        largest: Tokens of a pass, padding included, unless one chunk alone has more; None: all
            chunks in memory may go at once.

    Yields:
        The result of each model, float32 [N, d], in their order.
    """
    results: deque[_Result] = deque()
    waiting: list[_Part] = []
    for values, positions, lengths, _ in sequences:
        chunks = split_with_halo(len(positions), config.chunk, config.halo)
        results.append(_Result(len(positions), len(chunks)))
        for chunk in chunks:
            own = values[chunk.low : chunk.high].copy()
            waiting.append(_Part(results[-1], chunk, own, positions, lengths))
            if len(waiting) == config.batch:
                _pass_all(step, waiting, device, largest)
                waiting = []
        while results and not results[0].left:
            yield results.popleft().values
    _pass_all(step, waiting, device, largest)
    yield from (result.values for result in results)


@torch.inference_mode()
def _pass_all(step: Step, waiting: list[_Part], device: torch.device, largest: int | None) -> None:
    ordered = sorted(waiting, key=lambda part: (part.width, part.chunk.low))
    for parts in _passes(ordered, largest):
        passed = step(*_stacked(parts, device)).cpu().numpy()
        for part, own in zip(parts, passed, strict=True):
            part.result.put(part.chunk, own)


def _passes(parts: list[_Part], largest: int | None) -> Iterator[list[_Part]]:
    """Cut chunks, sorted by width, into passes."""
    start = 0
    for end, part in enumerate(parts):
        tokens = (end + 1 - start) * part.width
        over = largest is not None and tokens > largest
        if end > start and (over or parts[start].width < FILLED * part.width):
            yield parts[start:end]
            start = end
    if parts:
        yield parts[start:]


def _stacked(
    parts: list[_Part], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return values, positions and lengths of chunks, padded to the widest, which is the last."""
    width, alike = parts[-1].width, all(part.is_at(parts[0]) for part in parts)
    values = np.zeros((len(parts), width, parts[0].values.shape[1]), np.float32)
    for row, part in zip(values, parts, strict=True):
        row[: part.width] = part.values
    placed = parts[:1] if alike else parts
    positions = np.zeros((len(placed), width, 3), np.int64)
    lengths = np.zeros((len(placed), width), np.int64)
    for i, part in enumerate(placed):
        at = slice(part.chunk.low, part.chunk.high)
        positions[i, : part.width] = part.positions[at]
        lengths[i, : part.width] = part.lengths[at]
    stacked = (torch.from_numpy(each).to(device) for each in (values, positions, lengths))
    first, second, third = stacked
    return first, second, third
