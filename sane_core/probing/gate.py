"""A gate before predictions: is a model like the zoo's, or foreign to it?

A probe answers whatever it is asked. The gate looks at two things first: the embedding, which tells
weights in the wrong places, and s(W), which tells weights of the wrong size. Of each it takes the
Mahalanobis distance from the train runs' checkpoints, in its main directions, with the variance
that is left as the spread in all others (probabilistic PCA). The larger of the two counts, each in
units of what a validation run's checkpoints, which no direction was fitted to, stay below.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sane_core.probing.basis import Basis, fit_basis, scale_columns
from sane_core.probing.conformal import run_quantile

EXPLAINED = 0.9999
"""Share of the variance that main directions hold."""
MOST_DIRECTIONS = 512
ROWS_PER_DIRECTION = 5
"""Train checkpoints that a main direction takes at least."""
SMALLEST_SPREAD = 1e-6
"""Of a direction, as a share of a column's variance: below it, rounding would count."""


@dataclass(frozen=True)
class Block:
    """One thing that a gate looks at.

    Attributes:
        centre: float64 [d].
        scale: float64 [d]; 0 where constant over the train runs.
        vectors: float64 [varying columns, m], main directions.
        values: float64 [m], variances along them.
        rest: Variance in every other direction.
        unit: Mahalanobis distance that counts as 1.
    """

    centre: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    rest: float
    unit: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return float64 [models] of features [models, d]; not finite is infinitely far."""
        finite = np.isfinite(features).all(1)
        known = np.where(finite[:, None], features, 0).astype(np.float64)
        x = scale_columns(known, self.centre, self.scale)
        main = x @ self.vectors
        left = ((x**2).sum(1) - (main**2).sum(1)).clip(0)
        squares = (main**2 / self.values).sum(1) + left / self.rest
        return np.where(finite, np.sqrt(squares) / self.unit, np.inf)


@dataclass(frozen=True)
class Gate:
    """What is like the zoo.

    Attributes:
        embedding: Of the embedding.
        statistics: Of s(W).
        asked: Share of the zoo's own checkpoints that may be called foreign.
    """

    embedding: Block
    statistics: Block
    asked: float

    def distances(self, pooled: np.ndarray, statistics: np.ndarray) -> np.ndarray:
        """Return how far models are from the zoo, float64 [models]; above 1 they are foreign.

        Args:
            pooled: Embeddings, float [models, d].
            statistics: s(W), float [models, 7 · L].
        """
        return np.maximum(self.embedding.distances(pooled), self.statistics.distances(statistics))

    def foreign(self, pooled: np.ndarray, statistics: np.ndarray) -> np.ndarray:
        """Return bool [models]: whether they are unlike the zoo; arguments as of `distances`."""
        return self.distances(pooled, statistics) > 1


def fit_gate(
    train: Sequence[np.ndarray],
    validation: Sequence[np.ndarray],
    runs: np.ndarray,
    false_alarms: float,
) -> Gate:
    """Fit main directions on train checkpoints and thresholds on validation runs.

    Args:
        train: Embeddings and s(W) of the train checkpoints, float [checkpoints, …] each.
        validation: Those of the validation checkpoints.
        runs: int [validation checkpoints].
        false_alarms: Share of the zoo's own checkpoints that may be called foreign. Of few
            validation runs no smaller share than 1 / (runs + 1) can be had; that is then taken.

    Raises:
        ValueError: If no column varies over the train checkpoints.
    """
    asked = max(false_alarms, 1 / (len(np.unique(runs)) + 1))
    blocks = []
    for own, held_out in zip(train, validation, strict=True):
        block = _block(own)
        unit = run_quantile(block.distances(held_out), runs, 1 - asked)
        blocks.append(replace(block, unit=unit))
    largest = np.maximum(*(b.distances(v) for b, v in zip(blocks, validation, strict=True)))
    both = run_quantile(largest, runs, 1 - asked)
    embedding, statistics = (replace(block, unit=block.unit * both) for block in blocks)
    return Gate(embedding, statistics, asked)


def _block(train: np.ndarray) -> Block:
    basis = fit_basis(train)
    if not basis.values.sum() > 0:
        raise ValueError("the features of a gate must vary over the train runs, got constants")
    vectors, values, rest = _main_directions(basis, len(train))
    return Block(basis.centre, basis.scale, vectors, values, rest, 1.0)


def _main_directions(basis: Basis, rows: int) -> tuple[np.ndarray, np.ndarray, float]:
    values, vectors = basis.values[::-1], basis.vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    most = min(MOST_DIRECTIONS, max(1, rows // ROWS_PER_DIRECTION))
    count = min(most, int(np.searchsorted(share, EXPLAINED)) + 1)
    others = len(vectors) - count
    rest = values[count:].sum() / others if others else 0.0
    spread = max(float(rest), SMALLEST_SPREAD)
    return vectors[:, :count], values[:count].clip(spread), spread
