"""Linear probes: closed-form ridge in float64, λ chosen on the validation runs (paper §5.1).

Rows are checkpoints; all rows of a run lie on one side of every split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sane_core.probing.basis import Basis, fit_basis, scale_columns, scaling_of

Score = Callable[[np.ndarray, np.ndarray], float]
"""(targets [rows, t], predictions [rows, t]) -> what is to be large."""


@dataclass(frozen=True)
class Split:
    """One side of the data.

    Attributes:
        features: float [rows, d].
        target: float [rows].
    """

    features: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Probe:
    """A fitted probe.

    Attributes:
        regularization: The chosen λ, relative to the number of train rows.
        validation_r2: R² on the validation runs at that λ.
        test_r2: R² on the test runs.
        predictions: float64 [test rows].
    """

    regularization: float
    validation_r2: float
    test_r2: float
    predictions: np.ndarray


@dataclass(frozen=True)
class Columns:
    """Rows of one kind of features, and of further ones beside them, ready for ridge.

    Attributes:
        basis: Of the features' train rows.
        coordinates: float64 [rows, r], all rows in that basis.
        centre: float64 [e], means of the further columns on train rows.
        scale: float64 [e], their deviations; 0 where constant.
        beside: float64 [rows, e'], the further columns that vary, scaled; e' may be 0.
    """

    basis: Basis
    coordinates: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    beside: np.ndarray

    def with_beside(self, further: np.ndarray, train: np.ndarray) -> "Columns":
        """Return the same features with further ones beside them; nothing is decomposed again.

        Args:
            further: float [rows, e].
            train: int [train rows].
        """
        centre, scale = scaling_of(further[train])
        beside = scale_columns(further, centre, scale)
        return Columns(self.basis, self.coordinates, centre, scale, beside)


@dataclass(frozen=True)
class Ridge:
    """Coefficients of raw columns, for any row there will be.

    Attributes:
        coefficients: float64 [d, t].
        further: float64 [e, t], of the columns beside them.
        offset: float64 [t].
    """

    coefficients: np.ndarray
    further: np.ndarray
    offset: np.ndarray

    def predict(self, features: np.ndarray, beside: np.ndarray | None = None) -> np.ndarray:
        """Return predictions float64 [rows, t]."""
        made = features @ self.coefficients + self.offset
        return made if beside is None else made + beside @ self.further


@dataclass(frozen=True)
class Fit:
    """Ridge at the λ that was best on validation rows.

    Attributes:
        regularization: That λ.
        share: Of λ, what the columns beside were penalized with.
        score: What it scored there.
        validation: Predictions float64 [validation rows, t].
        test: Predictions float64 [test rows, t].
        ridge: Its coefficients.
    """

    regularization: float
    share: float
    score: float
    validation: np.ndarray
    test: np.ndarray
    ridge: Ridge


def columns_of(features: np.ndarray, train: np.ndarray) -> Columns:
    """Decompose features [rows, d] on their train rows."""
    basis = fit_basis(features[train])
    nothing = np.empty(0)
    return Columns(
        basis, basis.coordinates(features), nothing, nothing, np.empty((len(features), 0))
    )


def fit_ridge(
    columns: Columns,
    targets: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
    lambdas: Sequence[float],
    score: Score,
    shares: Sequence[float] = (1.0,),
) -> Fit:
    """Fit ridge for every λ and keep the one that scores highest on validation rows.

    The columns beside are eliminated block by block (Schur complement), so that they cost no
    decomposition: at share 1, the result is that of ridge on all columns side by side.

    Args:
        columns: Features of all rows.
        targets: float64 [rows, t].
        train: int, rows to fit.
        validation: int, rows to choose λ on.
        test: int, rows to predict.
        lambdas: Candidates; the penalty is λ · (train rows) · |coefficients|².
        score: Compares predictions with targets.
        shares: Candidates for what the columns beside are penalized with, as shares of λ. A few
            columns beside many would be drowned by one λ for all.

    Raises:
        ValueError: If no candidate gives a finite validation score, e.g. for a constant target.
    """
    offset = targets[train].mean(0)
    solved = _solver(columns, targets[train] - offset, train)
    at, beside = columns.coordinates, columns.beside

    def predict(weights: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> np.ndarray:
        return at[rows] @ weights[0] + beside[rows] @ weights[1] + offset

    candidates = [(λ, share) for λ in lambdas for share in shares]
    weights = [solved(λ, share * λ) for λ, share in candidates]
    chosen, known = at[validation], beside[validation]
    made = [chosen @ first + known @ second + offset for first, second in weights]
    scores = [score(targets[validation], each) for each in made]
    if not np.isfinite(scores).any():
        raise ValueError(
            "the target must vary over the validation runs to choose λ, got a constant"
        )
    best = int(np.nanargmax(scores))
    return Fit(
        regularization=candidates[best][0],
        share=candidates[best][1],
        score=scores[best],
        validation=made[best],
        test=predict(weights[best], test),
        ridge=_raw(columns, weights[best], offset),
    )


def _solver(
    columns: Columns, target: np.ndarray, train: np.ndarray
) -> Callable[[float, float], tuple[np.ndarray, np.ndarray]]:
    """Return λ, λ beside -> weights [r, t] of the coordinates and [e, t] of the columns beside."""
    x, s, values = columns.coordinates[train], columns.beside[train], columns.basis.values
    rows = len(target)
    projected, cross = x.T @ target / rows, x.T @ s / rows
    inner, further = s.T @ s / rows, s.T @ target / rows

    def solve(λ: float, beside: float) -> tuple[np.ndarray, np.ndarray]:
        shrunk = cross / (values + λ)[:, None]
        left = inner + beside * np.eye(len(inner)) - cross.T @ shrunk
        second = np.linalg.solve(left, further - shrunk.T @ projected)
        return (projected - cross @ second) / (values + λ)[:, None], second

    return solve


def _raw(columns: Columns, weights: tuple[np.ndarray, np.ndarray], offset: np.ndarray) -> Ridge:
    first = columns.basis.coefficients(weights[0])
    second = np.zeros((len(columns.centre), weights[1].shape[1]))
    varying = columns.scale > 0
    second[varying] = weights[1] / columns.scale[varying, None]
    moved = columns.basis.centre @ first + columns.centre @ second
    return Ridge(first, second, offset - moved)


def r_squared(target: np.ndarray, predictions: np.ndarray) -> float:
    """Return 1 - MSE / Var; NaN where the target is constant."""
    variance = target.var()
    return (
        float(1 - ((target - predictions) ** 2).mean() / variance) if variance > 0 else float("nan")
    )


def fit_probe(train: Split, validation: Split, test: Split, lambdas: tuple[float, ...]) -> Probe:
    """Fit ridge for every λ and keep the one of highest validation R².

    Features are scaled to zero mean and unit variance on the train rows, so that λ means the same
    for every kind of feature; constant features are dropped.

    Args:
        train: Rows to fit.
        validation: Rows to choose λ on.
        test: Rows to report.
        lambdas: Candidates; the penalty is λ · (train rows) · |coefficients|².

    Raises:
        ValueError: If no candidate gives a finite validation R², e.g. for a constant target.
    """
    sides = (train, validation, test)
    ends = np.cumsum([len(side.target) for side in sides])
    fitted, chosen, tested = np.split(np.arange(ends[-1]), ends[:-1])
    target = np.concatenate([side.target for side in sides]).astype(np.float64)[:, None]
    columns = columns_of(np.concatenate([side.features for side in sides]), fitted)
    fit = fit_ridge(columns, target, fitted, chosen, tested, lambdas, r_squared)
    made = fit.test[:, 0]
    return Probe(fit.regularization, fit.score, r_squared(target[tested, 0], made), made)


def bootstrap_r2(
    target: np.ndarray,
    predictions: np.ndarray,
    runs: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[float, float]:
    """Return the 95 % interval of R² over resampled runs (rows of one run are not independent)."""
    from sane_core.probing.bootstrap import interval, resample_r2

    low, high = interval(resample_r2(target, predictions[None], runs, rng, resamples)[0])
    return float(low), float(high)
