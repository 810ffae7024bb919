"""Principal components of few long rows, by the products of rows with each other.

For P rows of F numbers the Gram matrix is [P, P], where the covariance would be [F, F]. F is
walked in blocks of columns, each on one core and in PyTorch, whose threads can be told so: float64
copies stay small, and threads of NumPy's products, which wait for each other in a loop, were
measured to take ten times as long where other processes run.
"""

from dataclasses import dataclass

import numpy as np
import torch

from sane_core.zoo.population.cores import on_cores

BLOCK = 2**14
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

    def products(columns: slice) -> np.ndarray:
        block = torch.from_numpy(_centred(rows, columns)[0])
        return (block @ block.T).numpy()

    gram = np.sum(on_cores(products, _blocks(rows.shape[1])), 0)
    variances, vectors = np.linalg.eigh(gram)
    order = np.argsort(-variances)[: min(rank, len(rows) - 1)]
    real = order[variances[order] > NOTHING * max(variances.max(), np.finfo(float).tiny)]
    return Components(vectors[:, real], np.sqrt(variances[real]))


def directions_of(rows: np.ndarray, components: Components) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean float32 [F] and the unit directions float32 [r, F] of components."""
    mix = (components.u / components.s).T.copy()
    mean = np.empty(rows.shape[1], np.float32)
    directions = np.empty((len(mix), rows.shape[1]), np.float32)

    def fill(columns: slice) -> None:
        block, mean[columns] = _centred(rows, columns)
        directions[:, columns] = (torch.from_numpy(mix) @ torch.from_numpy(block)).numpy()

    on_cores(fill, _blocks(rows.shape[1]))
    return mean, directions


def mixed(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return `weights @ rows`, float32 [P', F], for weights float32 [P', P]."""
    out = np.empty((len(weights), rows.shape[1]), np.float32)
    left = torch.from_numpy(weights)

    def fill(columns: slice) -> None:
        out[:, columns] = (left @ torch.from_numpy(rows[:, columns].copy())).numpy()

    on_cores(fill, _blocks(rows.shape[1]))
    return out


def _centred(rows: np.ndarray, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return these columns around their means, float64 [P, columns], and the means."""
    block = rows[:, columns].astype(np.float64)
    mean = block.mean(0)
    return block - mean, mean


def _blocks(columns: int) -> list[slice]:
    return [slice(i, min(i + BLOCK, columns)) for i in range(0, columns, BLOCK)]
