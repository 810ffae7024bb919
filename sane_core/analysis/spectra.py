"""Spectral metrics of weight matrices, as WeightWatcher names and takes them (paper §4).

With λ the eigenvalues of a layer (`eigenvalues.py`) and logarithms to base 10: log spectral norm
log λ_max, α of a power law fitted to their density, weighted α = α · log λ_max, log α-norm
log Σ λ^α, stable rank Σ λ / λ_max, log norm log Σ λ. A metric that is not there is NaN, and `note`
says why; nothing here fails for the values of weights.
"""

from dataclasses import dataclass, replace

import numpy as np

from sane_core.analysis.eigenvalues import eigenvalue_count, eigenvalues_of
from sane_core.analysis.power_law import SHORTEST_TAIL, fit_power_law

FEWEST, MOST = 8, 15_000
"""Eigenvalues that a layer must have, and may have; WeightWatcher's `min_evals` and `max_evals`."""
ZERO = 1e-5
"""Eigenvalues up to this are left out of the fit, as in WeightWatcher."""
SPECTRAL = (
    "log_spectral_norm",
    "alpha",
    "alpha_weighted",
    "stable_rank",
    "log_alpha_norm",
    "log_norm",
)
"""The metrics, by the names of WeightWatcher."""


@dataclass(frozen=True)
class Metrics:
    """Spectral metrics of one layer; NaN where not available.

    Attributes:
        log_spectral_norm: log λ_max.
        alpha: Exponent of the power law.
        alpha_weighted: α · log λ_max.
        stable_rank: Σ λ / λ_max.
        log_alpha_norm: log Σ λ^α.
        log_norm: log Σ λ.
        distance: Kolmogorov–Smirnov distance of the fit to the tail; small where it fits.
        note: Why a metric is not available; "" where all are.
    """

    log_spectral_norm: float = np.nan
    alpha: float = np.nan
    alpha_weighted: float = np.nan
    stable_rank: float = np.nan
    log_alpha_norm: float = np.nan
    log_norm: float = np.nan
    distance: float = np.nan
    note: str = ""


def no_spectrum(shape: tuple[int, ...]) -> str:
    """Return why weights of this shape have no metrics; "" if they can have them."""
    count = eigenvalue_count(shape)
    if len(shape) < 2:
        return "no matrix: a vector has no spectrum"
    if count < FEWEST:
        return f"too small: {count} eigenvalues, at least {FEWEST} are needed"
    if count > MOST:
        return f"too large: {count} eigenvalues, at most {MOST} are taken"
    return ""


def metrics_of(eigenvalues: np.ndarray) -> Metrics:
    """Return the metrics of one layer.

    Args:
        eigenvalues: float64 [n], as `eigenvalues_of` returns them.
    """
    if not np.isfinite(eigenvalues).all():
        return Metrics(note="weights are not finite")
    largest, total = float(eigenvalues.max()), float(eigenvalues.sum())
    if largest <= 0:
        return Metrics(note="all weights are zero")
    top = float(np.log10(largest))
    norms = Metrics(top, stable_rank=total / largest, log_norm=float(np.log10(total)))
    fit = fit_power_law(eigenvalues[eigenvalues > ZERO])
    if fit is None:
        note = f"no fit: fewer than {SHORTEST_TAIL} eigenvalues over {ZERO:g}, or all are equal"
        return replace(norms, note=note)
    # Σ λ^α = λ_max^α Σ (λ / λ_max)^α, whose sum is at most the number of eigenvalues.
    rest = float(np.log10(((eigenvalues / largest) ** fit.alpha).sum()))
    return replace(
        norms,
        alpha=fit.alpha,
        alpha_weighted=fit.alpha * top,
        log_alpha_norm=fit.alpha * top + rest,
        distance=fit.distance,
    )


def spectral_metrics(weights: np.ndarray) -> list[Metrics]:
    """Return the metrics of a layer in each of some networks.

    Args:
        weights: [networks, ...], the layer's weight without its bias.
    """
    note = no_spectrum(weights.shape[1:])
    if note:
        return [Metrics(note=note)] * len(weights)
    return [metrics_of(values) for values in eigenvalues_of(weights)]
