"""The two losses of pretraining: masked reconstruction (Eq. 5) and NT-Xent (Eq. 6)."""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch.nn import functional

Gather = Callable[[torch.Tensor], torch.Tensor]
"""Projections [2 * part, d] of this rank -> those of all ranks [2 * batch, d], with gradient."""


def reconstruction_loss(
    decoded: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor,
    weights: torch.Tensor | None = None,
    real: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the mean squared error over real weights (Eq. 5).

    Differs from the published code, which averages over padding too and so scales the loss by the
    fill rate.

    Args:
        decoded: float [..., d_t].
        target: float [..., d_t].
        mask: bool [..., d_t], True at real weights.
        weights: float [...], what a token's squared errors are multiplied by (see
            `layer_weights`); 1 if not given.
        real: Scalar: the number of real weights to divide by, if it is not that of the mask; a
            part of a batch divides by its share of the whole, so that parts have one mean.

    Returns:
        Scalar, in units of the (standardized) weights' variance.
    """
    errors = torch.where(mask, decoded.float() - target, 0).square()
    if weights is not None:
        errors = errors * weights[..., None]
    return errors.sum() / (mask.sum() if real is None else real)


def layer_weights(variances: Sequence[Sequence[float]]) -> torch.Tensor:
    """Return what squared errors are multiplied by to be in units of their layer's variance.

    With it every layer's error is 1 where nothing but its mean was learned, whatever its scale.

    Args:
        variances: Of each set of windows, the variance of each layer's tokens; 0 for a constant
            layer, whose errors stay as they are.

    Returns:
        float32 [sets, layers]; 1 where a set has fewer layers.
    """
    found = torch.ones(len(variances), max(map(len, variances), default=0), dtype=torch.float64)
    for row, of_set in zip(found, variances, strict=True):
        known = torch.tensor(list(of_set), dtype=torch.float64)
        row[: len(known)] = torch.where(known > 0, 1 / known, 1)
    return found.float()


def nt_xent(
    projected: torch.Tensor, temperature: float, gather: Gather | None = None
) -> torch.Tensor:
    """Return the normalized temperature-scaled cross-entropy (Eq. 6).

    Args:
        projected: float [2 * batch, d]; rows i and i + batch are the two views of window i.
        temperature: τ.
        gather: Where a batch is dealt out to data-parallel ranks: gives every rank the projections
            of all. Each then has the whole loss, and the mean of the ranks' gradients is that of
            one process.

    Returns:
        Scalar in nats: how badly each view finds its partner among the 2 * batch - 1 others.
    """
    if gather is not None:
        projected = gather(projected)
    normalized = functional.normalize(projected.float(), dim=1)
    similarity = normalized @ normalized.T / temperature
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    partner = torch.arange(len(similarity), device=similarity.device).roll(len(similarity) // 2)
    return functional.cross_entropy(similarity.masked_fill(own, -torch.inf), partner)


def gather_views(projected: torch.Tensor) -> torch.Tensor:
    """Return the projections of all ranks of the default process group, with gradient.

    Args:
        projected: float [2 * part, d] of this rank, first views before second ones; parts have
            equal sizes.

    Returns:
        [2 * batch, d]: the first views of all ranks, then the second ones, in the order of ranks.
    """
    gathered: torch.Tensor = _Gathered.apply(projected)
    first, second = gathered.chunk(2, dim=1)
    return torch.cat([first.flatten(0, 1), second.flatten(0, 1)])


class _Gathered(torch.autograd.Function):
    """[rows, d] of each rank -> [ranks, rows, d]; a rank's gradient is the sum of all ranks'.

    PyTorch's own has no way back that every backend knows.
    """

    @staticmethod
    def forward(ctx: object, projected: torch.Tensor) -> torch.Tensor:
        del ctx
        own = projected.contiguous()
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: object, *grads: torch.Tensor) -> torch.Tensor:
        del ctx
        summed = grads[0].contiguous().clone()
        dist.all_reduce(summed)
        return summed[dist.get_rank()]
