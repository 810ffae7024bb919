"""Intervals for new models: split conformal prediction, calibrated by run.

Checkpoints of one run are alike, so they do not count as so many calibration points. Each
calibration run has the weight of one, shared among its checkpoints, and one more run - the new
one - stands at infinity. The half-width is the quantile of the absolute errors under these weights
(hierarchical split conformal). If runs are exchangeable, a checkpoint drawn from a new run lies
within it with at least the asked probability.

It is the probability for one checkpoint, not for all of a run's at once: the largest error of a run
as its score would give that, in much wider intervals.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Coverage:
    """What intervals did on tested runs.

    Attributes:
        target: Property.
        features: What it was predicted from.
        asked: Share of checkpoints that intervals were to hold.
        coverage: Share of tested checkpoints that they held.
        width: Mean width, in units of the property; infinite if the runs are too few.
        calibration_runs: Runs it was calibrated on, the fewest of all folds.
        tested_runs: Runs it was tried on.
    """

    target: str
    features: str
    asked: float
    coverage: float
    width: float
    calibration_runs: int
    tested_runs: int


def run_quantile(scores: np.ndarray, runs: np.ndarray, share: float) -> float:
    """Return the value that a new run's checkpoint stays below with probability `share`.

    Args:
        scores: float [rows], as large as the checkpoint is unlike.
        runs: int [rows].
        share: In (0, 1).

    Returns:
        One of the scores, or infinity where share > runs / (runs + 1): too few runs to tell.
    """
    _, group, rows = np.unique(runs, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    weight = np.cumsum(1 / rows[group[order]]) / (len(rows) + 1)
    at = int(np.searchsorted(weight, share - 1e-12))
    return float(scores[order[at]]) if at < len(scores) else float("inf")


def runs_needed(share: float) -> int:
    """Return how many calibration runs an interval of this coverage needs at least."""
    return int(np.ceil(share / (1 - share) - 1e-9))
