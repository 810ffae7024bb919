"""The OneCycle schedule as a function of the step, so that a resumed run needs nothing but that.

The learning rate climbs for the first 0.3 of the steps and falls for the rest, both along a cosine,
while Adam's first momentum goes the other way. It equals `torch.optim.lr_scheduler.OneCycleLR` of
one step more: the last rate of that, next to 0, would make a step of nothing.
"""

from math import cos, pi

CLIMB = 0.3
START = 25.0
"""The peak is so many times the first learning rate …"""
END = 1e4
"""… and the first so many times the last."""
MOMENTUM = (0.95, 0.85)
"""At both ends, and at the peak."""


def one_cycle(step: int, steps: int, peak: float) -> tuple[float, float]:
    """Return the learning rate and the momentum of a step.

    Args:
        step: From 0.
        steps: Of the whole training.
        peak: Largest learning rate.
    """
    if not 0 <= step < steps:
        raise ValueError(f"step must lie in 0..{steps - 1}, got {step}")
    turn = CLIMB * (steps + 1) - 1
    slow, fast = MOMENTUM
    if step <= turn:
        share = step / turn if turn else 1.0
        return _between(peak / START, peak, share), _between(slow, fast, share)
    share = (step - turn) / (steps - turn)
    return _between(peak, peak / START / END, share), _between(fast, slow, share)


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * share))
