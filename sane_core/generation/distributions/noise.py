"""Gaussian noise on whole sequences, every sample from a stream of its own.

A sample's numbers depend on its own seed only, so it does not matter how many threads draw, nor
how samples are dealt out to them. A sample is filled piece by piece, and a piece's noise never
leaves the core: `centre + deviation · ε` is written once, into memory that nothing wrote before.

PyTorch's normal numbers came out three times as fast as NumPy's ziggurat in float32 (SFC64), which
`benchmarks/generation.py` measures. They are the same for the same kind of processor: vector units
round another way.
"""

from collections.abc import Callable

import numpy as np
import torch

from sane_core.zoo.population.cores import on_cores

PIECE = 2**15
"""Numbers drawn at a time, so that they stay in the core's cache."""

SEEDS = 2**32
"""How many seeds the streams (Mersenne twisters) tell apart."""


def around(
    centre: Callable[[int, slice], np.ndarray],
    shape: tuple[int, int, int],
    deviation: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw samples with independent noise for every token.

    Args:
        centre: (sample, its tokens) -> where they are drawn around, float32, [tokens, d_z] or what
            broadcasts to it.
        shape: [count, N, d_z].
        deviation: Standard deviation of the noise [d_z].
        rng: Gives every sample its seed, no two of them the same.

    Returns:
        float32 [count, N, d_z].
    """
    count, tokens, dimensions = shape
    seeds = rng.choice(SEEDS, count, replace=False).tolist()
    size = np.asarray(deviation, np.float32)
    rows = max(1, PIECE // dimensions)
    out = np.empty(shape, np.float32)

    def fill(sample: int) -> None:
        stream = torch.Generator().manual_seed(seeds[sample])
        piece = torch.empty(min(rows, tokens), dimensions)
        for first in range(0, tokens, rows):
            part = slice(first, min(first + rows, tokens))
            noise = piece[: part.stop - part.start].normal_(generator=stream).numpy()
            np.multiply(noise, size, out=noise)
            np.add(noise, centre(sample, part), out=out[sample, part])

    on_cores(fill, range(count))
    return out


def shifted(latents: np.ndarray, index: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Copy prompts, each moved by one vector for all its tokens, in one pass.

    Args:
        latents: float32 [prompts, N, d_z].
        index: The prompt to copy, int64 [count].
        shift: What to add, float32 [count, d_z].

    Returns:
        float32 [count, N, d_z].
    """
    out = np.empty((len(index), *latents.shape[1:]), np.float32)

    def fill(sample: int) -> None:
        np.add(latents[index[sample]], shift[sample], out=out[sample])

    on_cores(fill, range(len(index)))
    return out
