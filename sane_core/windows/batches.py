"""Which windows an epoch uses, which of them make a batch, and the batch itself.

No batch holds two windows of one run: in the contrastive loss they would be false negatives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class WindowBatch:
    """A batch of B windows, in memory of its own.

    Attributes:
        tokens: float32 or float16, as stored, [B, V, W, d_t]; view 0 is the aligned one.
        positions: int64 [B, W, 3], each [n, l, k].
        lengths: int64 [B, V, W]: real weights in each token, 0 for padding.
        runs: int64 [B], unique over all sets, as the reader's.
        epochs: int64 [B].
        sets: int64 [B]: which of the reader's sets each window is of.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    lengths: torch.Tensor
    runs: torch.Tensor
    epochs: torch.Tensor
    sets: torch.Tensor


def epoch_windows(
    sets: np.ndarray, weights: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Choose the windows of one epoch, where zoos count for more or less than they have windows.

    Weight 1 takes every window of a set once, 0.5 a random half, 2.5 everything twice and a random
    half once more. The number drawn is rounded, and at least 1 for a weight over 0.

    Args:
        sets: int [S]: which set each window is of.
        weights: One per set, >= 0.
        rng: Source of the draw; the same state gives the same windows.

    Returns:
        Window indices, int64 [T], ascending; to be dealt out by `run_disjoint_batches` of their
        runs, whose batches are then places in this array.

    Raises:
        ValueError: A weight is missing, negative or not finite, or no window is left.
    """
    factors = np.asarray(weights, np.float64)
    if len(factors) != sets.max() + 1:
        raise ValueError(f"there must be a weight for each of {sets.max() + 1} sets, got {weights}")
    if not np.isfinite(factors).all() or (factors < 0).any() or not factors.any():
        raise ValueError(f"weights must be finite and >= 0, and one of them > 0, got {weights}")
    chosen = [np.zeros(0, np.int64)]
    for number, weight in enumerate(factors.tolist()):
        windows = np.flatnonzero(sets == number)
        if weight:
            whole, rest = divmod(max(1, round(weight * len(windows))), len(windows))
            chosen += [windows] * whole + [rng.permutation(windows)[:rest]]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def run_disjoint_batches(
    runs: np.ndarray, batch: int, rng: np.random.Generator, *, drop_last: bool
) -> list[np.ndarray]:
    """Shuffle all windows into batches that hold at most one window of any run.

    Every batch takes one random window of each of the `batch` runs with the most windows left,
    ties broken at random: so the runs take turns, and with equally many windows per run all
    batches but the last are full. Where a few runs have far more windows than the others, their
    surplus ends in several batches that are not full; those come last.

    Args:
        runs: int [S]: the run of each window.
        batch: Windows per batch.
        rng: Source of the shuffle; the same state gives the same batches.
        drop_last: Leave out the batches that are not full.

    Returns:
        Batches of window indices, int64 [<= batch] each. Without `drop_last`, every window of the
        set is in exactly one of them.

    Raises:
        ValueError: `batch` is not in 1..number of runs.
    """
    _, owner, counts = np.unique(runs, return_inverse=True, return_counts=True)
    if not 1 <= batch <= len(counts):
        raise ValueError(
            f"batch must lie in 1..{len(counts)}, as no batch may hold two windows of one run and "
            f"the {len(runs)} windows are of {len(counts)} runs; got {batch}"
        )
    shuffled = rng.permutation(len(owner))
    grouped = shuffled[np.argsort(owner[shuffled], kind="stable")]
    first = np.cumsum(counts) - counts
    left = counts.copy()
    batches = []
    while left.any():
        ranked = np.lexsort((rng.random(len(left)), -left))[:batch]
        chosen = rng.permutation(ranked[left[ranked] > 0])
        left[chosen] -= 1
        batches.append(grouped[first[chosen] + left[chosen]])
    full = [indices for indices in batches if len(indices) == batch]
    mixed = [full[position] for position in rng.permutation(len(full))]
    return mixed if drop_last else mixed + batches[len(full) :]


def sequential_batches(samples: int, batch: int, *, drop_last: bool) -> list[np.ndarray]:
    """Cut the windows 0..samples-1, in this order, into batches.

    Args:
        samples: Number of windows.
        batch: Windows per batch.
        drop_last: Leave out a last batch that is not full.

    Returns:
        Batches of window indices, int64 [<= batch] each.

    Raises:
        ValueError: `batch` is below 1, or `drop_last` would leave no batch at all.
    """
    if batch < 1 or (drop_last and batch > samples):
        raise ValueError(
            f"batch must be >= 1 and, with drop_last, <= the {samples} windows; got {batch}"
        )
    cuts = np.split(np.arange(samples), range(batch, samples, batch))
    return cuts[:-1] if drop_last and len(cuts[-1]) < batch else cuts


def check_batches(batches: Sequence[np.ndarray], samples: int) -> list[np.ndarray]:
    """Return `batches` as int64 arrays, after checking that a reader can serve them.

    Raises:
        ValueError: There is no batch, a batch is empty or not a row of integers, or an index lies
            outside 0..samples-1.
    """
    checked = [np.asarray(indices) for indices in batches]
    if not checked:
        raise ValueError("an epoch must have at least one batch, got none")
    for number, indices in enumerate(checked):
        if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu":
            raise ValueError(
                f"batch {number} must be a row of integers, got {indices.dtype} {indices.shape}"
            )
    every = np.concatenate(checked)
    if every.min() < 0 or every.max() >= samples:
        raise ValueError(
            f"batches must hold indices in 0..{samples - 1}, got {every.min()}..{every.max()}"
        )
    return [indices.astype(np.int64, copy=False) for indices in checked]
