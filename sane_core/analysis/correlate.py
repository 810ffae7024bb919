"""How a feature of networks and their accuracy go together (paper §4, Figures 4, 10 and 11).

A correlation over a handful of networks says nothing, so below twenty there is none.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, pearsonr, spearmanr

FEWEST_NETWORKS = 20
"""Networks, not checkpoints: those of one run are not independent."""


@dataclass(frozen=True)
class Correlation:
    """Three coefficients in [-1, 1]; NaN where not available.

    Attributes:
        networks: Networks with both values, n.
        pearson: Of a straight line, r.
        spearman: Of ranks, ρ.
        kendall: Of pairs' order, τ-b.
        note: Why there are none; "" where there are.
    """

    networks: int
    pearson: float = np.nan
    spearman: float = np.nan
    kendall: float = np.nan
    note: str = ""


def correlate(feature: np.ndarray, accuracy: np.ndarray) -> Correlation:
    """Correlate two values of networks.

    Args:
        feature: float64 [networks], NaN where not available.
        accuracy: float64 [networks], NaN where not known.
    """
    there = np.isfinite(feature) & np.isfinite(accuracy)
    x, y = feature[there], accuracy[there]
    if len(x) < FEWEST_NETWORKS:
        needed = f"no correlation below {FEWEST_NETWORKS} networks"
        return Correlation(len(x), note=needed)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(len(x), note="no correlation: one of the two is constant")
    pearson, spearman, kendall = (
        float(of(x, y).statistic) for of in (pearsonr, spearmanr, kendalltau)
    )
    return Correlation(len(x), pearson, spearman, kendall)
