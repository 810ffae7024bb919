"""A gate before predictions: is a model like the zoo's, or foreign to it?

A probe answers whatever it is asked. The gate looks at the embedding and at s(W) first: the
Mahalanobis distance from the train runs' checkpoints, in the main directions of both, with the
variance that is left as the spread in all other directions (probabilistic PCA). s(W) is in it for
the scale, which standardized tokens hide where a network is far off. The threshold is what a
validation run's checkpoints, which the directions were not fitted to, stay below.
"""

from dataclasses import dataclass

import numpy as np

from sane_core.probing.basis import Basis, fit_basis, scale_columns
from sane_core.probing.conformal import run_quantile

EXPLAINED = 0.99
"""Share of the variance that main directions hold."""
MOST_DIRECTIONS = 64
SMALLEST_SPREAD = 1e-6
"""Of the variance left over, as a share of a column's: below it, rounding would count."""


@dataclass(frozen=True)
class Gate:
    """What is like the zoo.

    Attributes:
        centre: float64 [d], of the embedding and s(W) side by side.
        scale: float64 [d]; 0 where constant over the train runs.
        vectors: float64 [varying columns, m], main directions.
        values: float64 [m], variances along them.
        rest: Variance in every other direction.
        threshold: Distance above which a model is foreign.
        asked: Share of the zoo's own checkpoints that may be called foreign.
    """

    centre: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    rest: float
    threshold: float
    asked: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return how far models are from the zoo.

        Args:
            features: float [models, d], as the gate was fitted on; not finite is infinitely far.

        Returns:
            float64 [models], about 1 for a checkpoint of the train runs.
        """
        finite = np.isfinite(features).all(1)
        x = scale_columns(np.where(finite[:, None], features, 0), self.centre, self.scale)
        main = x @ self.vectors
        left = ((x**2).sum(1) - (main**2).sum(1)).clip(0)
        squares = (main**2 / self.values).sum(1) + left / self.rest
        return np.where(finite, np.sqrt(squares / max(1, x.shape[1])), np.inf)

    def foreign(self, features: np.ndarray) -> np.ndarray:
        """Return bool [models]: whether they are unlike the zoo."""
        return self.distances(features) > self.threshold


def fit_gate(
    train: np.ndarray, validation: np.ndarray, runs: np.ndarray, false_alarms: float
) -> Gate:
    """Fit main directions on train checkpoints and the threshold on validation runs.

    Args:
        train: float [train checkpoints, d].
        validation: float [validation checkpoints, d].
        runs: int [validation checkpoints].
        false_alarms: Share of the zoo's own checkpoints that may be called foreign. Of few
            validation runs no smaller share than 1 / (runs + 1) can be had; that is then taken.

    Raises:
        ValueError: If no column varies over the train checkpoints.
    """
    basis = fit_basis(train)
    if not basis.values.sum() > 0:
        raise ValueError("the features of a gate must vary over the train runs, got constants")
    asked = max(false_alarms, 1 / (len(np.unique(runs)) + 1))
    vectors, values, rest = _main_directions(basis)
    gate = Gate(basis.centre, basis.scale, vectors, values, rest, np.inf, asked)
    threshold = run_quantile(gate.distances(validation), runs, 1 - asked)
    return Gate(basis.centre, basis.scale, vectors, values, rest, threshold, asked)


def _main_directions(basis: Basis) -> tuple[np.ndarray, np.ndarray, float]:
    values, vectors = basis.values[::-1], basis.vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    count = min(MOST_DIRECTIONS, int(np.searchsorted(share, EXPLAINED)) + 1)
    others = basis.vectors.shape[0] - count
    rest = values[count:].sum() / others if others else 0.0
    spread = max(rest, SMALLEST_SPREAD)
    return vectors[:, :count], values[:count].clip(spread), float(spread)
