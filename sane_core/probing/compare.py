"""Probe every embedding, baseline and control for every property, side by side (Tables 1 and 2)."""

from dataclasses import dataclass

import numpy as np

from sane_core.probing.linear import Split, bootstrap_r2, fit_probe
from sane_core.seeding import rng_for
from schemas.config.probe import ProbeConfig

SELECTED = "sane_selected"
"""The SANE pooling of highest validation R², chosen per target."""


@dataclass(frozen=True)
class ProbeResult:
    """R² of one kind of feature for one target, with the 95 % interval over test runs."""

    features: str
    target: str
    dimensions: int
    regularization: float
    validation_r2: float
    test_r2: float
    low: float
    high: float


def compare(
    features: dict[str, np.ndarray],
    targets: dict[str, np.ndarray],
    runs: np.ndarray,
    split: np.ndarray,
    config: ProbeConfig,
    seed: int,
) -> tuple[list[ProbeResult], dict[tuple[str, str], np.ndarray]]:
    """Fit a probe per (features, target).

    Args:
        features: Name -> float [rows, d]; names that start with `sane_` are poolings of SANE.
        targets: Name -> float [rows].
        runs: int [rows].
        split: str [rows], "train", "validation" or "test".
        config: λ candidates and resamples.
        seed: The run's seed.

    Returns:
        (results, predictions on the test rows by (features, target)); `sane_selected` repeats the
        pooling that is best on the validation runs.
    """
    results, predictions = [], {}
    test = split == "test"
    for target, values in targets.items():
        for name, rows in features.items():
            train, validation, tested = (
                Split(rows[split == side], values[split == side])
                for side in ("train", "validation", "test")
            )
            probe = fit_probe(train, validation, tested, config.lambdas)
            rng = rng_for(seed, "probe bootstrap", target)
            low, high = bootstrap_r2(
                values[test], probe.predictions, runs[test], rng, config.bootstraps
            )
            results.append(
                ProbeResult(
                    name,
                    target,
                    rows.shape[1],
                    probe.regularization,
                    probe.validation_r2,
                    probe.test_r2,
                    low,
                    high,
                )
            )
            predictions[name, target] = probe.predictions
        ours = [
            result
            for result in results
            if result.target == target and result.features.startswith("sane_")
        ]
        best = max(ours, key=lambda result: result.validation_r2)
        results.append(ProbeResult(**(vars(best) | {"features": SELECTED})))
        predictions[SELECTED, target] = predictions[best.features, target]
    return results, predictions
