"""The two losses of pretraining: masked reconstruction (Eq. 5) and NT-Xent (Eq. 6)."""

import torch
from torch.nn import functional


def reconstruction_loss(
    decoded: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared error over real weights (Eq. 5).

    Differs from the published code, which averages over padding too and so scales the loss by the
    fill rate.

    Args:
        decoded: float [..., d_t].
        target: float [..., d_t].
        mask: bool [..., d_t], True at real weights.

    Returns:
        Scalar, in units of the (standardized) weights' variance.
    """
    return ((decoded.float() - target).square() * mask).sum() / mask.sum()


def nt_xent(projected: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the normalized temperature-scaled cross-entropy (Eq. 6).

    Args:
        projected: float [2 * batch, d]; rows i and i + batch are the two views of window i.
        temperature: τ.

    Returns:
        Scalar in nats: how badly each view finds its partner among the 2 * batch - 1 others.
    """
    normalized = functional.normalize(projected.float(), dim=1)
    similarity = normalized @ normalized.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), -torch.inf)
    batch = len(similarity) // 2
    partner = torch.arange(2 * batch).roll(batch)
    return functional.cross_entropy(similarity, partner)
