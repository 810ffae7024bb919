"""Intervals hold what they promise when runs, not checkpoints, are what is exchangeable."""

import numpy as np
import pytest

from sane_core.probing.conformal import run_quantile, runs_needed


def zoo_of(rng: np.random.Generator, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return errors that are a run's own, and runs; easy runs have more checkpoints."""
    own = np.abs(rng.standard_normal(runs))
    group = np.repeat(np.arange(runs), np.where(own < 0.7, 20, 2))
    return own[group] * (1 + 0.1 * rng.random(len(group))), group


def held(by_run: bool, asked: float) -> float:
    """Return the share of new runs' checkpoints that intervals held, over many zoos."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2000):
        scores, runs = zoo_of(rng, 19)
        groups = runs if by_run else np.arange(len(runs))
        new, of_run = zoo_of(rng, 20)
        inside = new <= run_quantile(scores, groups, asked)
        shares.append(np.mean([inside[of_run == run].mean() for run in range(20)]))
    return float(np.mean(shares))


def test_a_new_runs_checkpoint_is_held_as_often_as_asked() -> None:
    assert held(True, 0.9) == pytest.approx(0.91, abs=0.02)


def test_counting_checkpoints_promises_too_much() -> None:
    assert held(False, 0.9) < 0.8


def test_a_run_counts_once_however_many_checkpoints_it_has() -> None:
    scores = np.r_[np.full(1000, 9.0), np.arange(9.0)]
    runs = np.r_[np.zeros(1000, int), np.arange(1, 10)]
    assert run_quantile(scores, runs, 0.5) == 5


@pytest.mark.parametrize(("share", "runs"), [(0.9, 9), (0.95, 19), (0.5, 1)])
def test_too_few_runs_give_no_interval(share: float, runs: int) -> None:
    assert runs_needed(share) == runs
    assert np.isfinite(run_quantile(np.arange(runs), np.arange(runs), share))
    fewer = np.arange(runs - 1)
    assert run_quantile(fewer, fewer, share) == np.inf
