"""What to say when a batch does not fit into a GPU's memory: how many windows would."""

from collections.abc import Callable

import torch

from sane_core.pretraining.augment import ViewPair
from schemas.config.pretrain import PretrainConfig


def largest_that_fits(windows: int, attempt: Callable[[int], object]) -> int | None:
    """Try half of it, half of that, … until a step passes.

    Args:
        windows: Did not fit.
        attempt: Makes a step with so many windows; raises `torch.OutOfMemoryError` if they do not
            fit.

    Returns:
        How many windows fit, or None if not even 2 do, of which the contrastive loss needs as many.
    """
    size = windows // 2
    while size >= 2:
        try:
            free_memory()
            attempt(size)
        except torch.OutOfMemoryError:
            size //= 2
        else:
            return size
    return None


def does_not_fit(windows: int, fits: int | None, config: PretrainConfig) -> ValueError:
    """Return the error that says so, and the way out.

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
    parts = config.accumulate * -(-windows // fits)
    if batch % (parts * config.processes) == 0:
        remedy += f", or pretrain.accumulate to {parts} (the same batch in smaller parts)"
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
