"""Where windows start (Algorithm 1, step iv).

`stratified` (default): starts lie W apart at one random offset, so that every token lies in exactly
one window of each draw; windows that reach over an end are padded. `uniform` is the paper's mode:
starts uniform in [0, N - W], which starves both ends of the sequence.

Differs from the paper: stratified by default, because for N = 48 and W = 32 the last token lies in
one of 17 uniform windows.
"""

import numpy as np


def draw_starts(tokens: int, length: int, mode: str, rng: np.random.Generator) -> np.ndarray:
    """Draw the windows of one checkpoint for about full coverage.

    Args:
        tokens: Sequence length N.
        length: Window length W.
        mode: "stratified" or "uniform".
        rng: Source of the draw.

    Returns:
        Starts int64 [windows], possibly negative (the window then begins with padding).

    Raises:
        ValueError: If the mode is unknown.
    """
    if length >= tokens:
        return np.zeros(1, np.int64)
    if mode == "stratified":
        return np.arange(-int(rng.integers(length)), tokens, length, dtype=np.int64)
    if mode == "uniform":
        return rng.integers(0, tokens - length + 1, size=-(-tokens // length))
    raise ValueError(f"starts must be 'stratified' or 'uniform', got {mode!r}")


def coverage(starts: np.ndarray, tokens: int, length: int) -> np.ndarray:
    """Return in how many of the windows each token lies, int64 [tokens]."""
    n = np.arange(tokens)
    return ((starts[:, None] <= n) & (n < starts[:, None] + length)).sum(0)


def cut(array: np.ndarray, start: int, length: int, axis: int) -> np.ndarray:
    """Cut [start, start + length) out of one axis, zero where it reaches over an end."""
    size = array.shape[axis]
    lo, hi = max(start, 0), min(start + length, size)
    padding = [(0, 0)] * array.ndim
    padding[axis] = (lo - start, start + length - hi)
    return np.pad(np.take(array, np.arange(lo, hi), axis=axis), padding)
