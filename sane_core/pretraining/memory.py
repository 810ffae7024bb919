"""What to say when a batch does not fit into a GPU's memory: how many windows would."""

from collections.abc import Callable

import torch

from sane_core.pretraining.augment import ViewPair
from schemas.config.pretrain import PretrainConfig


def largest_that_fits(windows: int, attempt: Callable[[int], object]) -> int | None:
    """Search by halves between 2, which the contrastive loss needs, and what did not fit.

    Args:
        windows: Did not fit.
        attempt: Makes a step with so many windows; raises `torch.OutOfMemoryError` if they do not
            fit.

    Returns:
        How many windows fit, or None if not even 2 do.
    """
    fits, beyond = 1, windows
    while beyond - fits > 1:
        size = (fits + beyond) // 2
        try:
            free_memory()
            attempt(size)
        except torch.OutOfMemoryError:
            beyond = size
        else:
            fits = size
    return fits if fits > 1 else None


def does_not_fit(windows: int, fits: int | None, config: PretrainConfig) -> ValueError:
    """Return the error that says so, and the way out: a smaller batch, or smaller parts of it.

    Args:
        windows: In the part of a batch that did not fit.
        fits: `largest_that_fits`.
        config: Batch, and the parts that it is passed in.
    """
    batch = config.batch
    networks = ", or pretrain.behaviour.models" if config.behaviour.weight else ""
    if fits is None:
        return ValueError(
            f"batch {batch} does not fit into the GPU's memory, nor do 2 windows of it: make the "
            f"autoencoder (pretrain.autoencoder) or the windows (windows.length) smaller{networks}"
        )
    smaller = fits * config.accumulate * config.processes
    remedy = f"set pretrain.batch to {smaller}"
    parts = next(
        (n for n in range(-(-windows // fits), windows // 2 + 1) if windows % n == 0), None
    )
    if parts is not None:
        more = config.accumulate * parts
        remedy += f", or pretrain.accumulate to {more} (the same batch in smaller parts)"
    return ValueError(
        f"batch {batch} does not fit into the GPU's memory, {windows} windows at once; the largest "
        f"that fits is {smaller}, {fits} windows at once: {remedy}"
    )


def first_windows(pair: ViewPair, windows: int) -> ViewPair:
    """Return the first windows of a part of a batch."""
    lengths = pair.lengths[:, :windows]
    return pair._replace(
        tokens=pair.tokens[:, :windows],
        positions=pair.positions[:windows],
        lengths=lengths,
        sets=pair.sets[:windows],
        real=int(lengths.sum()),
    )


def free_memory() -> None:
    """Give what nobody uses any more back to the GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
