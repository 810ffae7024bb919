"""SGD, Adam and AdamW for many members at once, each with its own step size and decay.

A step equals that of PyTorch's optimizer of the same name on each member alone.
"""

from collections.abc import Sequence
from math import cos, pi

import torch

ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-8


class Optimizer:
    """Changes the weights of some members, [members, weights], in place."""

    def __init__(
        self, kind: str, weights: torch.Tensor, rates: Sequence[float], decays: Sequence[float]
    ) -> None:
        """Start with no memory of earlier gradients.

        Args:
            kind: `sgd`, `adam` or `adamw`.
            weights: What is trained, [members, weights].
            rates: Every member's step size.
            decays: Every member's weight decay.
        """
        self.kind = kind
        self.weights = weights
        self.rates, self.decays = _one_or_all(rates, weights), _one_or_all(decays, weights)
        names = ("momentum",) if kind == "sgd" else ("mean", "square")
        self.moments = {name: torch.zeros_like(weights) for name in names}
        self.steps = 0

    def step(self, grad: torch.Tensor, factor: float = 1.0, momentum: float = 0.9) -> None:
        """Take one step.

        Args:
            grad: Gradients [members, weights]; overwritten.
            factor: What every step size is multiplied by.
            momentum: Of SGD; Adam's first beta.
        """
        self.steps += 1
        rates = self.rates * factor
        if self.kind == "adamw":
            self.weights.mul_(1 - rates * self.decays)
        elif torch.is_tensor(self.decays) or self.decays:
            grad.add_(self.weights * self.decays)
        if self.kind == "sgd":
            buffer = self.moments["momentum"]
            buffer.mul_(momentum if self.steps > 1 else 0.0).add_(grad)
            self.weights.sub_(buffer * rates)
            return
        mean, square = self.moments["mean"], self.moments["square"]
        mean.lerp_(grad, 1 - momentum)
        square.mul_(ADAM_BETAS[1]).addcmul_(grad, grad, value=1 - ADAM_BETAS[1])
        scale = (1 - ADAM_BETAS[1] ** self.steps) ** 0.5
        denominator = torch.sqrt(square, out=grad).div_(scale).add_(ADAM_EPS)
        self.weights.sub_(
            torch.div(mean, denominator, out=denominator).mul_(rates / (1 - momentum**self.steps))
        )


def one_cycle(step: int, steps: int) -> tuple[float, float]:
    """Return the step size (share of its maximum) and the momentum of step `step` of `steps`.

    PyTorch's OneCycleLR with its defaults: up for 30 % of the steps from 1/25 by a cosine, down to
    1/250,000; the momentum goes the other way, from 0.95 to 0.85 and back.
    """
    top, last = 0.3 * steps - 1, steps - 1
    if step <= top:
        share = step / top if top > 0 else 1.0
        return _anneal(1 / 25, 1.0, share), _anneal(0.95, 0.85, share)
    share = (step - top) / (last - top)
    return _anneal(1.0, 1 / 25 / 1e4, share), _anneal(0.85, 0.95, share)


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * share))


def _one_or_all(values: Sequence[float], weights: torch.Tensor) -> "float | torch.Tensor":
    """Return one number where all members have the same, else a column [members, 1]."""
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=weights.dtype, device=weights.device).unsqueeze(1)
