"""How well features tell a property, and how much more than others do: rows of tables.

Numbers are scored by R², classes by accuracy, with the bootstrap's intervals over tested runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from sane_core.probing.bootstrap import interval
from sane_core.probing.folds import Sides, all_tested
from sane_core.probing.linear import Fit, r_squared
from sane_core.probing.selections import BESIDE, COMBINED, OTHERS, OURS, SELECTED
from sane_core.probing.targets import Target

_EQUAL = 1e-12
"""Differences below it are rounding."""


@dataclass(frozen=True)
class ProbeResult:
    """How well one kind of features tells a number, with the 95 % interval over tested runs.

    `chosen`: the features that a selection chose, by fold where folds chose differently.
    `validation_r2` and `regularization` are the mean and the median over folds.
    """

    features: str
    target: str
    dimensions: int
    regularization: float
    validation_r2: float
    test_r2: float
    low: float
    high: float
    kendall: float
    chosen: str


@dataclass(frozen=True)
class ClassResult:
    """The same for a class; `majority`: share of tested rows of the train runs' commonest class."""

    features: str
    target: str
    dimensions: int
    regularization: float
    validation_accuracy: float
    test_accuracy: float
    low: float
    high: float
    majority: float
    classes: int
    chosen: str


@dataclass(frozen=True)
class Difference:
    """What features `a` score above `b`, with the 95 % interval of the paired bootstrap.

    `share_above`: of the resamples in which a scores more than b.
    """

    target: str
    a: str
    b: str
    measure: str
    difference: float
    low: float
    high: float
    share_above: float
    runs: int


def measure(target: Target, truth: np.ndarray, predictions: np.ndarray) -> float:
    """Return R², or the accuracy of a class."""
    return float((truth == predictions).mean()) if target.classes else r_squared(truth, predictions)


def result_of(
    name: str,
    target: Target,
    fits: Sequence[Fit],
    sides: Sequence[Sides],
    predictions: np.ndarray,
    resampled: np.ndarray,
    chosen: Sequence[str],
) -> ProbeResult | ClassResult:
    """Return the row of one kind of features.

    Args:
        name: The features.
        target: The property.
        fits: A fit per fold.
        sides: The folds.
        predictions: float64 [tested rows].
        resampled: The measure in each resample.
        chosen: What a selection chose, per fold.
    """
    truth = target.values[all_tested(sides)]
    scored = measure(target, truth, predictions)
    validation = float(np.mean([fit.score for fit in fits]))
    low, high = (float(end) for end in interval(resampled))
    regularization = float(np.median([fit.regularization for fit in fits]))
    at = (name, target.name, _dimensions(fits), regularization, validation, scored, low, high)
    if target.classes:
        return ClassResult(*at, _majority(target, sides), len(target.classes), _listed(chosen))
    return ProbeResult(*at, float(kendalltau(truth, predictions).statistic), _listed(chosen))


def _majority(target: Target, sides: Sequence[Sides]) -> float:
    hits = [
        target.values[side.test] == np.bincount(target.values[side.train].astype(int)).argmax()
        for side in sides
    ]
    return float(np.concatenate(hits).mean())


def _dimensions(fits: Sequence[Fit]) -> int:
    return max(len(fit.ridge.coefficients) + len(fit.ridge.further) for fit in fits)


def _listed(chosen: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name.removesuffix(BESIDE) for name in chosen))


def differences_of(
    target: Target,
    truth: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    resampled: Mapping[str, np.ndarray],
    runs: int,
) -> Iterable[Difference]:
    """Yield a row per claim that the features at hand allow.

    Args:
        target: The property.
        truth: float64 [tested rows].
        predictions: Features -> float64 [tested rows].
        resampled: Features -> R², or accuracy, in each resample, the same runs for all features.
        runs: Tested.
    """
    for a, b in [(a, b) for a in OURS for b in OTHERS] + [(COMBINED, SELECTED)]:
        if a not in predictions or b not in predictions:
            continue
        first, second = (measure(target, truth, predictions[name]) for name in (a, b))
        apart = resampled[a] - resampled[b]
        low, high = interval(apart)
        known = apart[np.isfinite(apart)]
        yield Difference(
            target=target.name,
            a=a,
            b=b,
            measure="accuracy" if target.classes else "r2",
            difference=first - second,
            low=float(low),
            high=float(high),
            share_above=float((known > _EQUAL).mean()) if len(known) else float("nan"),
            runs=runs,
        )
