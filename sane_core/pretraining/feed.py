"""What the steps of an epoch are fed: parts of batches, read, checked and chosen ahead of them."""

from collections.abc import Iterator

import torch

from sane_core.pretraining.augment import ViewPair, pick_views, take_views
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.distributed import Ranks
from sane_core.pretraining.plan import Place, Plan
from sane_core.windows.reader import WindowReader


def read_steps(
    windows: WindowReader,
    model: Autoencoder,
    plan: Plan,
    begin: Place,
    ranks: Ranks,
    device: torch.device,
) -> Iterator[list[ViewPair]]:
    """Read what this process has of an epoch's batches.

    Args:
        windows: Train windows.
        model: Knows which positions there may be.
        plan: Batches and draws.
        begin: First step; the epoch is read from there to its end.
        ranks: Processes that share a batch.
        device: Where training computes; a GPU's copies are prepared.

    Returns:
        For every step its parts, `accumulate` of them, on the CPU.

    Raises:
        ValueError: If a position is unknown to the autoencoder, or there are too few views.
    """
    parts = plan.parts(begin.epoch, begin.step, ranks.rank, ranks.size)
    each = plan.config.accumulate
    batches = windows.epoch_batches([indices for indices, _ in parts])
    try:
        for first in range(0, len(parts), each):
            draw = plan.generator("views", Place(begin.epoch, begin.step + first // each))
            pairs: list[ViewPair] = []
            chosen = None
            for _, rows in parts[first : first + each]:
                batch = next(batches)
                model.check_positions(batch.positions)
                if chosen is None:
                    views = batch.tokens.shape[1]
                    chosen = pick_views(views, plan.config.batch, plan.config, draw)
                pair = take_views(batch, chosen[:, rows])
                pairs.append(pair.pin_memory() if device.type == "cuda" else pair)
            yield pairs
    finally:
        # A reader's own threads end with it.
        close = getattr(batches, "close", None)
        if close:
            close()
