"""Where a token stands, as a vector: concat(E1[n] + E2[l], E3[k]) (paper §2, the published code).

E1, E2 and E3 are learned tables (the paper), sized by the data, or sines that know every position.
A table says what becomes of a position beyond it, `refuse` or `clamp`; that is checked by
`check_positions` on the CPU, before a batch goes to the device, and never inside a training step.

Differs from the paper where positions are sines: sums of sines of n and of l could not be told
apart, so each has dimensions of its own, which is E1[n] + E2[l] with zeros where the other is.
"""

from math import log, pi

import numpy as np
import torch
from torch import nn

from schemas.config.pretrain import AutoencoderConfig

AXES = ("n", "l", "k")
LONGEST = {"n": 100_000.0, "l": 1_000.0, "k": 10_000.0}
"""Longest wavelength of each axis, in positions; the shortest is 2π."""
AMPLITUDE = 0.02 * 2**0.5
"""Of the sines: their root mean square is that of learned tables at the start. Sines of amplitude 1
drown the tokens, and the first epochs go into undoing that."""


class LearnedPositions(nn.Module):
    """A table per axis, half of the width each."""

    last: torch.Tensor

    def __init__(self, sizes: tuple[int, int, int], d_model: int, clamp: bool) -> None:
        super().__init__()
        self.sizes, self.clamp = sizes, clamp
        self.tables = nn.ModuleList(nn.Embedding(size, d_model // 2) for size in sizes)
        self.register_buffer("last", torch.tensor(sizes) - 1, persistent=False)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Embed positions int64 [batch, n, 3] to [batch, n, d_model]."""
        if self.clamp:
            positions = positions.minimum(self.last)
        n, l, k = (table(positions[..., i]) for i, table in enumerate(self.tables))
        return torch.cat([n + l, k], dim=-1)

    def check(self, positions: torch.Tensor | np.ndarray) -> None:
        """Make sure that the tables hold these positions, int [..., 3], or that they clamp.

        Raises:
            ValueError: If they do not; names the axis and the table.
        """
        flat = positions.reshape(-1, 3)
        if not len(flat):
            return
        for i, (axis, size) in enumerate(zip(AXES, self.sizes, strict=True)):
            smallest, largest = int(flat[:, i].min()), int(flat[:, i].max())
            if smallest < 0:
                raise ValueError(f"position {axis} must be >= 0, got {smallest}")
            if largest >= size and not self.clamp:
                raise ValueError(
                    f"position {axis} must be < {size} (the learned table of {axis}), got "
                    f"{largest}: train on networks as large, or with autoencoder.positions: "
                    "sinusoidal, or let the last position stand for it with "
                    "autoencoder.unseen: clamp"
                )


class SinusoidalPositions(nn.Module):
    """Sines and cosines of each axis: k has half of the width, n and l share the other half."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        half = d_model // 2
        widths = (half - half // 2, half // 2, d_model - half)
        for axis, width in zip(AXES, widths, strict=True):
            self.register_buffer(axis, _frequencies(width, LONGEST[axis]), persistent=False)
        self.widths = widths

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Embed positions int64 [batch, n, 3] to float32 [batch, n, d_model]."""
        parts = []
        for i, (axis, width) in enumerate(zip(AXES, self.widths, strict=True)):
            phases = positions[..., i, None] * self.get_buffer(axis)
            parts.append(torch.cat([phases.sin(), phases.cos()], dim=-1)[..., :width])
        return torch.cat(parts, dim=-1) * AMPLITUDE

    def check(self, positions: torch.Tensor | np.ndarray) -> None:
        """Accept any position."""


def position_embedding(
    sizes: tuple[int, int, int], config: AutoencoderConfig
) -> LearnedPositions | SinusoidalPositions:
    """Return the embedding that a configuration asks for.

    Args:
        sizes: Largest position + 1 of n, l and k: the sizes of learned tables.
        config: Kind, width, and what becomes of unseen positions.
    """
    if config.positions == "sinusoidal":
        return SinusoidalPositions(config.d_model)
    return LearnedPositions(sizes, config.d_model, clamp=config.unseen == "clamp")


def _frequencies(width: int, longest: float) -> torch.Tensor:
    """Return angular frequencies for sines and cosines that fill a width, falling from 1."""
    count = -(-width // 2)
    exponents = torch.arange(count, dtype=torch.float32) / max(1, count - 1)
    return torch.exp(-exponents * log(longest / (2 * pi)))
