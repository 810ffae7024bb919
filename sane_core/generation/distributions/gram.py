"""Principal components of few long rows, by the products of rows with each other.

For P rows of F numbers the Gram matrix is [P, P], where the covariance would be [F, F]. F is
walked in blocks, so that float64 copies stay small.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 2**16
"""Columns at a time."""

NOTHING = 1e-10
"""Share of the largest variance below which a component is rounding."""


@dataclass(frozen=True)
class Components:
    """The leading principal components of centred rows X, in terms of the rows.

    Component j has the unit direction `Xᵀ u[:, j] / s[j]`, and along it the rows' coordinates
    `s[j] · u[:, j]`, of standard deviation `s[j] / √(P - 1)`.

    Attributes:
        u: Left singular vectors, float64 [P, r].
        s: Singular values, float64 [r], falling, none of them zero.
    """

    u: np.ndarray
    s: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the rows along each component, float64 [r]."""
        return self.s / np.sqrt(len(self.u) - 1)


def components_of(rows: np.ndarray, rank: int) -> Components:
    """Find the leading components of rows around their mean.

    Args:
        rows: float32 [P, F], P >= 2.
        rank: Components at most; rows have P - 1 of them at most.

    Raises:
        ValueError: If the rank is out of range, or there are fewer than two rows.
    """
    if rank < 1:
        raise ValueError(f"rank must be >= 1, got {rank}")
    if len(rows) < 2:
        raise ValueError(f"principal components need at least 2 rows, got {len(rows)}")
    gram = np.zeros((len(rows), len(rows)))
    for columns in _blocks(rows.shape[1]):
        block = rows[:, columns].astype(np.float64)
        block -= block.mean(0)
        gram += block @ block.T
    variances, vectors = np.linalg.eigh(gram)
    order = np.argsort(-variances)[: min(rank, len(rows) - 1)]
    real = order[variances[order] > NOTHING * max(variances.max(), np.finfo(float).tiny)]
    return Components(vectors[:, real], np.sqrt(variances[real]))


def directions_of(rows: np.ndarray, components: Components) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean float32 [F] and the unit directions float32 [r, F] of components."""
    mix = (components.u / components.s).T
    mean = np.empty(rows.shape[1], np.float32)
    directions = np.empty((len(mix), rows.shape[1]), np.float32)
    for columns in _blocks(rows.shape[1]):
        block = rows[:, columns].astype(np.float64)
        mean[columns] = block.mean(0)
        directions[:, columns] = mix @ (block - block.mean(0))
    return mean, directions


def _blocks(columns: int) -> Iterator[slice]:
    for first in range(0, columns, BLOCK):
        yield slice(first, min(first + BLOCK, columns))
