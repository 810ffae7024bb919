"""Features in the eigenbasis of their train rows, in which ridge is a division (paper §5.1).

Decomposed once, a kind of features serves every λ and every target. Where there are more columns
than train rows (W, the full sequence), the rows' inner products are decomposed instead: the
coefficients of ridge lie in the span of the rows, so nothing is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 4096
"""Rows that are taken to float64 at a time."""
NEGLIGIBLE = 1e-12
"""Directions of less than this share of the largest variance are rounding."""


@dataclass(frozen=True)
class Basis:
    """Directions of the train rows' variance.

    Attributes:
        centre: float64 [d], means of the columns.
        scale: float64 [d], their deviations; 0 where a column is constant and left out.
        values: float64 [r], variances along the directions.
        vectors: float64 [varying columns, r], the directions in scaled columns.
    """

    centre: np.ndarray
    scale: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    def coordinates(self, features: np.ndarray) -> np.ndarray:
        """Return rows [rows, d] in this basis, float64 [rows, r]."""
        parts = [part @ self.vectors for part in _scaled(features, self.centre, self.scale)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.values)))

    def coefficients(self, weights: np.ndarray) -> np.ndarray:
        """Return what weights [r, t] of coordinates are as weights [d, t] of the raw columns."""
        raw = np.zeros((len(self.centre), weights.shape[1]))
        varying = self.scale > 0
        raw[varying] = self.vectors @ weights / self.scale[varying, None]
        return raw


def fit_basis(features: np.ndarray) -> Basis:
    """Decompose train rows, on whichever side is the smaller.

    Args:
        features: float [rows, d].
    """
    centre, scale = scaling_of(features)
    rows, columns = len(features), int((scale > 0).sum())
    if columns <= rows:
        covariance = np.zeros((columns, columns))
        for part in _scaled(features, centre, scale):
            covariance += part.T @ part
        values, vectors = np.linalg.eigh(covariance / rows)
        return Basis(centre, scale, values.clip(0), vectors)
    whole = np.concatenate([*_scaled(features, centre, scale)])
    values, left = np.linalg.eigh(whole @ whole.T / rows)
    kept = values > NEGLIGIBLE * values[-1]
    vectors = whole.T @ (left[:, kept] / np.sqrt(rows * values[kept]))
    return Basis(centre, scale, values[kept], vectors)


def scaling_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means and deviations of columns, float64 [d] each; a constant column's is 0."""
    centre = features.mean(0, dtype=np.float64)
    scale = features.std(0, dtype=np.float64)
    return centre, np.where(scale > 1e-12 * (1 + np.abs(centre)), scale, 0.0)


def scale_columns(features: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the columns that vary, float64, with zero mean and unit variance on train rows."""
    varying = scale > 0
    return (features[:, varying] - centre[varying]) / scale[varying]


def _scaled(features: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(features), BLOCK):
        yield scale_columns(features[start : start + BLOCK], centre, scale)
