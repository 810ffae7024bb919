"""Linear probes: closed-form ridge in float64, λ chosen on the validation runs (paper §5.1).

Rows are checkpoints; all rows of a run lie on one side of every split.
"""

from dataclasses import dataclass

import numpy as np


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
    centre, scale = (
        train.features.mean(0, dtype=np.float64),
        train.features.std(0, dtype=np.float64),
    )
    varying = scale > 1e-12 * (1 + np.abs(centre))

    def scaled(split: Split) -> np.ndarray:
        return (split.features[:, varying] - centre[varying]) / scale[varying]

    x, offset = scaled(train), float(train.target.mean(dtype=np.float64))
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ (train.target - offset) / len(x))
    x_validation = scaled(validation) @ vectors
    scores = [
        r_squared(validation.target, x_validation @ (projected / (values.clip(0) + λ)) + offset)
        for λ in lambdas
    ]
    if not np.isfinite(scores).any():
        raise ValueError(
            "the target must vary over the validation runs to choose λ, got a constant"
        )
    best = int(np.nanargmax(scores))
    predictions = scaled(test) @ (vectors @ (projected / (values.clip(0) + lambdas[best]))) + offset
    return Probe(lambdas[best], scores[best], r_squared(test.target, predictions), predictions)


def bootstrap_r2(
    target: np.ndarray,
    predictions: np.ndarray,
    runs: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[float, float]:
    """Return the 95 % interval of R² over resampled runs (rows of one run are not independent)."""
    names, group = np.unique(runs, return_inverse=True)
    error = np.bincount(group, (target - predictions) ** 2)
    total, square = np.bincount(group, target), np.bincount(group, target**2)
    rows = np.bincount(group)
    weight = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    count = weight @ rows
    variance = weight @ square / count - (weight @ total / count) ** 2
    r2 = 1 - (weight @ error / count) / np.where(variance > 0, variance, np.nan)
    low, high = np.nanquantile(r2, [0.025, 0.975])
    return float(low), float(high)
