"""Running sums of an epoch's losses, kept on the device so that a step never waits to be read."""

from math import isfinite
from typing import NamedTuple

import torch

from sane_core.pretraining.distributed import Ranks

NAMES = ("loss", "reconstruction", "contrastive", "behaviour", "gradient_norm")
_NEVER = float("inf")


class Broken(NamedTuple):
    """The first step that must not be gone on from.

    Attributes:
        step: Its number.
        name: What was not finite: "loss" or "gradient".
        value: The loss, or the norm of the gradient.
    """

    step: int
    name: str
    value: float


class Meter:
    """Sums over the steps of an epoch, and the first step that broke the weights.

    Attributes:
        total: float64 [len(NAMES)], up to the last `read`: the same in all processes.
    """

    def __init__(self, device: torch.device, ranks: Ranks, *, scaled: bool = False) -> None:
        """Begin with nothing.

        Args:
            device: That of the values.
            ranks: Processes that measure together.
            scaled: A scaler of float16 leaves out the steps whose gradient is not finite. Without
                one, such a step leaves no weight worth keeping.
        """
        self.ranks, self.scaled = ranks, scaled
        self.total = torch.zeros(len(NAMES), dtype=torch.float64, device=device)
        self._since = torch.zeros_like(self.total)
        self._last = self.total[0]
        self._bad = torch.full_like(self._last, _NEVER)
        self._found = torch.zeros_like(self.total[:2])

    def add(self, values: torch.Tensor, step: int) -> None:
        """Add a step's values [len(NAMES)], on the device, without waiting for them.

        Args:
            values: In the order of `NAMES`. The norm of a step that a scaler left out counts as 0.
            step: Its number, to be named if the loss or the gradient is not finite.
        """
        values = values.detach().double()
        self._last = values[0]
        pair = values[[0, -1]]
        bad = ~(pair[0] if self.scaled else pair).isfinite().all()
        first = bad & (self._bad == _NEVER)
        self._found = torch.where(first, pair, self._found)
        self._bad = torch.where(first, float(step), self._bad)
        self._since = self._since + torch.cat([values[:-1], values[-1:].nan_to_num(0.0, 0.0, 0.0)])

    def read(self) -> tuple[float, Broken | None]:
        """Add up what all processes have; wait for the device.

        Returns:
            The last loss, and the first step that broke the weights, if there is one.
        """
        told = self.ranks.mean(torch.cat([self._since, self._last.reshape(1), self._found]))
        self.total = self.total + told[: len(NAMES)]
        self._since = torch.zeros_like(self.total)
        last, loss, norm = told[len(NAMES) :].tolist()
        step = float(self.ranks.smallest(self._bad))
        if step == _NEVER:
            return last, None
        finite = isfinite(loss)
        return last, Broken(int(step), "gradient" if finite else "loss", norm if finite else loss)

    def means(self, steps: int) -> dict[str, float]:
        """Return the mean of each over so many steps, up to the last `read`."""
        return dict(zip(NAMES, (self.total / steps).tolist(), strict=True))
