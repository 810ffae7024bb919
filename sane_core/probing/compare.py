"""Probe every embedding, baseline and control for every property, side by side (Tables 1 and 2).

What is chosen - λ, the pooling - is chosen on validation runs. Every claim that one kind of
features is above another is a paired bootstrap over the tested runs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from sane_core.probing.bootstrap import interval, resample_mean, resample_r2
from sane_core.probing.folds import Sides, all_tested
from sane_core.probing.linear import Fit, columns_of, fit_ridge, r_squared
from sane_core.probing.targets import Target
from sane_core.seeding import rng_for
from schemas.config.probe import ProbeConfig

SELECTED = "sane_selected"
"""The SANE pooling of highest validation score, chosen per target."""
COMBINED = "sane_statistics"
"""A SANE pooling and s(W) side by side, the pooling chosen the same way, for the two together."""
STATISTICS = "statistics"
BESIDE = "+statistics"
SHARES = (1.0, 0.1, 0.01, 0.001)
"""Candidates for the penalty of s(W) beside an embedding, as shares of λ."""

SELECTIONS: Mapping[str, tuple[str, str]] = {
    SELECTED: ("sane_", ""),
    COMBINED: ("sane_", BESIDE),
    "untrained_selected": ("untrained_", ""),
    "pca_selected": ("pca_", ""),
}
"""Selection -> (prefix, ending) of the features it selects from."""
OURS = (SELECTED, COMBINED)
OTHERS = (STATISTICS, "untrained_selected", "pca_selected", "outputs", "weights", "global")
"""What each of ours is compared with, where it is there."""

_EQUAL = 1e-12
"""Differences below it are rounding."""

Fits = dict[tuple[str, str], list[Fit]]
"""(features, target) -> a fit per fold."""


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


@dataclass(frozen=True)
class Compared:
    """One target, every kind of features.

    Attributes:
        target: Of the rows that were compared.
        sides: Their folds.
        results: A row per kind of features.
        differences: A row per claim.
        predictions: Features -> float64 [tested rows].
        fits: Features -> a fit per fold, of selections those that were selected.
        chosen: Selection -> the features chosen, per fold.
    """

    target: Target
    sides: Sequence[Sides]
    results: list[ProbeResult] | list[ClassResult]
    differences: list[Difference]
    predictions: dict[str, np.ndarray]
    fits: dict[str, list[Fit]]
    chosen: dict[str, list[str]]


def fit_all(
    features: Mapping[str, np.ndarray],
    targets: Sequence[Target],
    sides: Sequence[Sides],
    lambdas: Sequence[float],
    on_features: Callable[[], None] | None = None,
) -> Fits:
    """Fit a probe per (features, target, fold); each kind of features is decomposed once a fold.

    SANE's poolings are fitted with s(W) beside them as well, as `<pooling>+statistics`; s(W), which
    has fewer columns, may be penalized less.

    Args:
        features: Name -> float [rows, d]; names that start with `sane_` are poolings of SANE.
        targets: Properties of the same rows, all known.
        sides: Folds.
        lambdas: Candidates.
        on_features: Called as each kind of features is done.
    """
    fits: Fits = {}
    for name, rows in features.items():
        for side in sides:
            columns = columns_of(rows, side.train)
            kinds = {name: columns}
            if name.startswith("sane_") and STATISTICS in features:
                kinds[name + BESIDE] = columns.with_beside(features[STATISTICS], side.train)
            for kind, each in kinds.items():
                for target in targets:
                    at = (side.train, side.validation, side.test)
                    shares = SHARES if kind.endswith(BESIDE) else (1.0,)
                    fit = fit_ridge(each, target.columns, *at, lambdas, _score(target), shares)
                    fits.setdefault((kind, target.name), []).append(fit)
        if on_features:
            on_features()
    return fits


def chosen_poolings(fits: Fits, targets: Sequence[Target]) -> set[str]:
    """Return which of SANE's poolings are best on validation runs, of any target in any fold."""
    found = set()
    for target in targets:
        own = {name: fit for (name, of), fit in fits.items() if of == target.name}
        candidates = [name for name in own if _between(name, *SELECTIONS[SELECTED])]
        found |= {_best(own, candidates, fold) for fold in range(len(own[candidates[0]]))}
    return found


def compare(
    fits: Fits,
    target: Target,
    runs: np.ndarray,
    sides: Sequence[Sides],
    config: ProbeConfig,
    seed: int,
) -> Compared:
    """Score the probes of one target, select poolings, and compare.

    Args:
        fits: Of `fit_all`.
        target: The property.
        runs: int [rows].
        sides: The folds of the fits.
        config: Resamples.
        seed: The run's seed.
    """
    own = {name: found for (name, of), found in fits.items() if of == target.name}
    chosen: dict[str, list[str]] = {}
    for selection, ends in SELECTIONS.items():
        if candidates := [name for name in own if _between(name, *ends)]:
            chosen[selection] = [_best(own, candidates, fold) for fold in range(len(sides))]
    for selection, best in chosen.items():
        own[selection] = [own[name][i] for i, name in enumerate(best)]
    shown = {name: found for name, found in own.items() if not name.endswith(BESIDE)}
    rows = all_tested(sides)
    predictions = {name: _read(target, found, sides, rows) for name, found in shown.items()}
    truth = target.values[rows]
    rng = rng_for(seed, "probe bootstrap", target.name)
    made = np.stack(list(predictions.values()))
    if target.classes:
        resampled = resample_mean(1.0 * (made == truth), runs[rows], rng, config.bootstraps)
    else:
        resampled = resample_r2(truth, made, runs[rows], rng, config.bootstraps)
    of = dict(zip(predictions, resampled, strict=True))
    summary = _classes if target.classes else _numbers
    results = [
        summary(name, target, found, sides, predictions[name], of[name], chosen.get(name, []))
        for name, found in shown.items()
    ]
    differences = list(_differences(target, truth, predictions, of, len(np.unique(runs[rows]))))
    return Compared(target, sides, results, differences, predictions, own, chosen)  # type: ignore[arg-type]


def _best(fits: Mapping[str, list[Fit]], candidates: Sequence[str], fold: int) -> str:
    return max(candidates, key=lambda name: fits[name][fold].score)


def _between(name: str, start: str, end: str) -> bool:
    return name.startswith(start) and (name.endswith(end) if end else BESIDE not in name)


def _score(target: Target) -> Callable[[np.ndarray, np.ndarray], float]:
    if not target.classes:
        return r_squared
    return lambda wanted, made: float((wanted.argmax(1) == made.argmax(1)).mean())


def _read(
    target: Target, fits: Sequence[Fit], sides: Sequence[Sides], rows: np.ndarray
) -> np.ndarray:
    """Put the predictions of all folds in the order of the tested rows."""
    order = np.argsort(np.concatenate([side.test for side in sides]))
    made = np.concatenate([fit.test for fit in fits])[order]
    return made.argmax(1).astype(np.float64) if target.classes else made[:, 0]


def _measure(target: Target, truth: np.ndarray, predictions: np.ndarray) -> float:
    return float((truth == predictions).mean()) if target.classes else r_squared(truth, predictions)


def _numbers(
    name: str,
    target: Target,
    fits: Sequence[Fit],
    sides: Sequence[Sides],
    predictions: np.ndarray,
    resampled: np.ndarray,
    chosen: Sequence[str],
) -> ProbeResult:
    truth = target.values[all_tested(sides)]
    low, high = interval(resampled)
    return ProbeResult(
        features=name,
        target=target.name,
        dimensions=_dimensions(fits),
        regularization=float(np.median([fit.regularization for fit in fits])),
        validation_r2=float(np.mean([fit.score for fit in fits])),
        test_r2=r_squared(truth, predictions),
        low=float(low),
        high=float(high),
        kendall=float(kendalltau(truth, predictions).statistic),
        chosen=_listed(chosen),
    )


def _classes(
    name: str,
    target: Target,
    fits: Sequence[Fit],
    sides: Sequence[Sides],
    predictions: np.ndarray,
    resampled: np.ndarray,
    chosen: Sequence[str],
) -> ClassResult:
    truth = target.values[all_tested(sides)]
    low, high = interval(resampled)
    return ClassResult(
        features=name,
        target=target.name,
        dimensions=_dimensions(fits),
        regularization=float(np.median([fit.regularization for fit in fits])),
        validation_accuracy=float(np.mean([fit.score for fit in fits])),
        test_accuracy=float((truth == predictions).mean()),
        low=float(low),
        high=float(high),
        majority=_majority(target, sides),
        classes=len(target.classes),
        chosen=_listed(chosen),
    )


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


def _differences(
    target: Target,
    truth: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    resampled: Mapping[str, np.ndarray],
    runs: int,
) -> Iterable[Difference]:
    for a, b in [(a, b) for a in OURS for b in OTHERS] + [(COMBINED, SELECTED)]:
        if a not in predictions or b not in predictions:
            continue
        first, second = (_measure(target, truth, predictions[name]) for name in (a, b))
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
