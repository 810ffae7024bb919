"""What the autoencoder sees of a window: two of its views, with noise, parts of them hidden.

Draws are for a whole batch; a data-parallel rank then takes its `rows` of them, so that ranks see
together what one process sees.
"""

from typing import NamedTuple

import torch

from sane_core.windows.batches import WindowBatch
from schemas.config.pretrain import PretrainConfig


class ViewPair(NamedTuple):
    """Two views of each window, those of the first kind before those of the second.

    Attributes:
        tokens: As stored, float32 or float16 [2, b, W, d_t].
        positions: int64 [b, W, 3].
        lengths: int64 [2, b, W], 0 for padding tokens.
        sets: int64 [b]: which set of windows each is of.
        padded: Whether there are padding tokens.
        real: Number of real weights in all of them.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    lengths: torch.Tensor
    sets: torch.Tensor
    padded: bool
    real: int

    def to(self, device: torch.device | str) -> "ViewPair":
        """Return it on a device, without waiting for the copy."""
        return self._replace(**{n: getattr(self, n).to(device, non_blocking=True) for n in _MOVED})

    def pin_memory(self) -> "ViewPair":
        """Return it in memory that a GPU copies from on its own."""
        return self._replace(**{n: getattr(self, n).pin_memory() for n in _MOVED})


_MOVED = ("tokens", "positions", "lengths", "sets")


def check_views(views: int, config: PretrainConfig) -> None:
    """Make sure that there are enough permuted views to choose from.

    Args:
        views: Views per window V, the aligned one among them.
        config: Which of them are wanted.

    Raises:
        ValueError: If there are fewer.
    """
    wanted = [config.first_view, config.second_view].count("permuted")
    if views - 1 < wanted:
        raise ValueError(
            f"windows must have at least {wanted} permuted views for {config.first_view} and "
            f"{config.second_view} ones to be compared, got {views - 1}: set windows.views to "
            f"{wanted} or more"
        )


def pick_views(
    views: int, batch: int, config: PretrainConfig, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Choose two views of every window of a batch (Table 6).

    Args:
        views: Views per window V; view 0 is the aligned one, the others are permuted.
        batch: Windows B.
        config: Kind of the first and of the second view. Two permuted ones are never the same.
        generator: Source of the choice; without it, the first permuted views are taken.

    Returns:
        int64 [2, B], in 0..V-1.

    Raises:
        ValueError: If there are not enough permuted views.
    """
    check_views(views, config)
    chosen = torch.zeros(2, batch, dtype=torch.int64)
    kinds, permuted = (config.first_view, config.second_view), views - 1
    taken = 0
    for row, kind in zip(chosen, kinds, strict=True):
        if kind == "aligned":
            continue
        if generator is None:
            row += 1 + taken
        elif not taken:
            row += torch.randint(1, views, (batch,), generator=generator)
        else:
            further = torch.randint(1, permuted, (batch,), generator=generator)
            row += 1 + (chosen[0] - 1 + further) % permuted
        taken += 1
    return chosen


def take_views(batch: WindowBatch, chosen: torch.Tensor) -> ViewPair:
    """Take the chosen views of a batch of windows, on the CPU.

    Args:
        batch: Windows, b of them.
        chosen: int64 [2, b], the columns of `pick_views` for these windows.
    """
    rows = torch.arange(chosen.shape[1])
    lengths = batch.lengths[rows, chosen]
    return ViewPair(
        tokens=batch.tokens[rows, chosen],
        positions=batch.positions,
        lengths=lengths,
        sets=batch.sets,
        padded=bool((lengths == 0).any()),
        real=int(lengths.sum()),
    )


def augment(
    clean: torch.Tensor,
    mask: torch.Tensor,
    config: PretrainConfig,
    generator: torch.Generator,
    batch: int | None = None,
    rows: slice | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add noise to views, each its own, and hide a part of their weights.

    Differs from the published code: the target is the clean view (denoising) unless
    `config.target` is "noised". A hidden weight is never a target of 0: it is asked for.

    Args:
        clean: float32 [2, b, W, d_t].
        mask: bool [2, b, W, d_t], True at real weights; the others stay as they are.
        config: Sizes of the noise, share of hidden weights, target.
        generator: Source of the draws, of the device of `clean`.
        batch: Windows of the whole batch, if these are a part of it.
        rows: Which of the batch's windows these are; all if not given.

    Returns:
        (seen, target), float32 [2, b, W, d_t].
    """
    shape = (2, batch or clean.shape[1], *clean.shape[2:])
    part = (slice(None), rows or slice(None))
    noised = clean
    if config.noise:
        drawn = torch.randn(shape, generator=generator, device=clean.device)[part]
        noised = noised * (1 + config.noise * drawn)
    if config.additive_noise:
        drawn = torch.randn(shape, generator=generator, device=clean.device)[part]
        noised = noised + config.additive_noise * drawn * mask
    seen = noised
    if config.erase:
        kept = torch.rand(shape, generator=generator, device=clean.device)[part] >= config.erase
        seen = noised * kept
    return seen, noised if config.target == "noised" else clean
