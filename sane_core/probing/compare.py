"""Probe every embedding, baseline and control for every property, side by side (Tables 1 and 2).

What is chosen - λ, the pooling - is chosen on validation runs. Every claim that one kind of
features is above another is a paired bootstrap over the tested runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sane_core.probing.bootstrap import resample_mean, resample_r2
from sane_core.probing.folds import Sides, all_tested
from sane_core.probing.linear import Fit, columns_of, fit_ridge, r_squared
from sane_core.probing.scores import (
    ClassResult,
    Difference,
    ProbeResult,
    differences_of,
    result_of,
)
from sane_core.probing.selections import BESIDE, SELECTED, SELECTIONS, STATISTICS
from sane_core.probing.targets import Target
from sane_core.seeding import rng_for
from schemas.config.probe import ProbeConfig

SHARES = (1.0, 0.1, 0.01, 0.001)
"""Candidates for the penalty of s(W) beside an embedding, as shares of λ."""

Fits = dict[tuple[str, str], list[Fit]]
"""(features, target) -> a fit per fold."""


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
    results: list[ProbeResult | ClassResult]
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
    results = [
        result_of(name, target, found, sides, predictions[name], of[name], chosen.get(name, []))
        for name, found in shown.items()
    ]
    differences = list(differences_of(target, truth, predictions, of, len(np.unique(runs[rows]))))
    return Compared(target, sides, results, differences, predictions, own, chosen)


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
