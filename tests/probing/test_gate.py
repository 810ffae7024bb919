"""The gate lets the zoo's own through and stops what is unlike it."""

import numpy as np
import pytest

from sane_core.probing.gate import fit_gate

MIX = np.random.default_rng(0).standard_normal((5, 40))
"""Models vary in 5 of 40 directions."""


def models(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings, of which one column is constant, and statistics."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 5)) @ MIX + 0.05 * rng.standard_normal((count, 40))
    return np.c_[x, np.ones(count)], rng.standard_normal((count, 7))


RUNS = np.repeat(np.arange(60), 5)
GATE = fit_gate(models(600, 1), models(300, 2), RUNS, 0.05)


def test_no_more_of_its_own_are_stopped_than_allowed() -> None:
    assert 0 < GATE.foreign(*models(2000, 3)).mean() < 0.08


def test_what_is_far_or_off_the_main_directions_is_stopped() -> None:
    pooled, statistics = models(50, 4)
    assert GATE.foreign(5 * pooled, statistics).mean() > 0.9
    off = pooled.copy()
    off[:, :40] = np.random.default_rng(0).permuted(off[:, :40], axis=1)
    assert GATE.foreign(off, statistics).mean() > 0.9


def test_either_of_the_two_is_enough() -> None:
    pooled, statistics = models(50, 5)
    assert GATE.foreign(pooled, 4 * statistics).mean() > 0.8
    assert GATE.foreign(pooled, statistics).mean() < 0.2


def test_what_is_not_finite_is_infinitely_far() -> None:
    pooled, statistics = models(3, 6)
    pooled[0, 0], statistics[1, 2] = np.nan, np.inf
    assert np.isinf(GATE.distances(pooled, statistics)).tolist() == [True, True, False]


def test_of_few_runs_no_small_share_of_false_alarms_can_be_had() -> None:
    few = fit_gate(models(600, 1), models(8, 2), np.repeat(np.arange(4), 2), 0.05)
    assert few.asked == pytest.approx(0.2)
    assert np.isfinite(few.embedding.unit)
    assert GATE.asked == 0.05


def test_constants_are_refused() -> None:
    constant = (np.ones((5, 3)), np.ones((5, 2)))
    with pytest.raises(ValueError, match="must vary over the train runs, got constants"):
        fit_gate(constant, constant, np.arange(5), 0.1)
