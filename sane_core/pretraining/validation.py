"""Validation: the losses of every window once, without noise, set by set."""

from collections.abc import Sequence

import numpy as np
import torch

from sane_core.pretraining.augment import pick_views, take_views
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.devices import autocast
from sane_core.pretraining.distributed import ALONE, Ranks
from sane_core.pretraining.history import Losses
from sane_core.pretraining.objective import Objective
from sane_core.seeding import rng_for
from sane_core.windows.ahead import ahead
from sane_core.windows.batches import run_disjoint_batches
from sane_core.windows.reader import WindowReader
from schemas.config.pretrain import PretrainConfig


@torch.no_grad()
def validate(
    model: Autoencoder,
    windows: WindowReader,
    config: PretrainConfig,
    variances: Sequence[Sequence[float]] = (),
    precision: torch.dtype = torch.float32,
    ranks: Ranks = ALONE,
) -> tuple[Losses, ...]:
    """Return the mean losses of each set, over all of its real weights and windows.

    Batches may be smaller than in training, and are where a set has fewer runs; the contrastive
    loss of another batch is another number.

    Args:
        model: Autoencoder.
        windows: To be reconstructed.
        config: Losses, views and batch.
        variances: Of each set, as of `Objective`.
        precision: Of matrix products.
        ranks: Processes that share the batches.
    """
    model.eval()
    device = next(model.parameters()).device
    objective = Objective(model, config, variances).to(device)
    # As large as a part of a batch in training: what fits there fits here.
    batches = validation_batches(windows, config.batch // config.accumulate)
    own = batches[ranks.rank :: ranks.size]
    count = int(windows.sets.max()) + 1
    # Squared errors, contrast, real weights and windows of each set.
    sums = torch.zeros(count, 4, dtype=torch.float64, device=device)
    reading = ahead(windows.epoch_batches(own)) if own else iter(())
    for batch in reading:
        model.check_positions(batch.positions)
        views = pick_views(batch.tokens.shape[1], len(batch.runs), config)
        pair = take_views(batch, views).to(device)
        with autocast(device, precision):
            losses = objective(objective.prepare(pair))
        each = torch.stack([losses.reconstruction, losses.contrastive]).double()
        sizes = each.new_tensor([pair.real, len(batch.runs)])
        sums[int(batch.sets[0])] += torch.cat([each * sizes, sizes])
    gamma, totals = config.gamma, ranks.sum(sums)
    means = (totals[:, :2] / totals[:, 2:]).tolist()
    return tuple(Losses((1 - gamma) * rec + gamma * con, rec, con) for rec, con in means)


def validation_batches(windows: WindowReader, size: int) -> list[np.ndarray]:
    """Return every window in one batch, always the same: of one set, no two of one run."""
    batches = []
    for number in range(int(windows.sets.max()) + 1):
        found = np.flatnonzero(windows.sets == number)
        runs = windows.runs[found]
        draw = rng_for(0, "validation", number) if number else rng_for(0, "validation")
        fits = min(size, len(np.unique(runs)))
        batches += [found[b] for b in run_disjoint_batches(runs, fits, draw, drop_last=False)]
    return batches


def combined(sets: Sequence[Losses], shares: Sequence[float]) -> Losses:
    """Return the mean of the sets' losses, each as much as its share."""
    rows = [[part.loss, part.reconstruction, part.contrastive] for part in sets]
    return Losses(*np.average(rows, axis=0, weights=shares).tolist())
