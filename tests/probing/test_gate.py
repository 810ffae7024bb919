"""The gate lets the zoo's own through and stops what is unlike it."""

import numpy as np
import pytest

from sane_core.probing.gate import fit_gate

RNG = np.random.default_rng(0)
MIX = RNG.standard_normal((5, 40))
"""Models vary in 5 of 40 directions."""


def models(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 5)) @ MIX + 0.05 * rng.standard_normal((count, 40))
    return np.c_[x, np.ones(count)]


RUNS = np.repeat(np.arange(60), 5)
GATE = fit_gate(models(600, 1), models(300, 2), RUNS, 0.05)


def test_about_as_many_of_its_own_are_stopped_as_allowed() -> None:
    assert GATE.foreign(models(2000, 3)).mean() < 0.08


def test_what_is_far_or_off_the_main_directions_or_not_finite_is_stopped() -> None:
    own = models(50, 4)
    assert GATE.foreign(5 * own).mean() > 0.9
    off = own.copy()
    off[:, :40] = np.random.default_rng(0).permuted(off[:, :40], axis=1)
    assert GATE.foreign(off).mean() > 0.9
    broken = own.copy()
    broken[0, 0] = np.nan
    assert GATE.foreign(broken)[0]
    assert GATE.distances(broken)[0] == np.inf


def test_of_few_runs_no_small_share_of_false_alarms_can_be_had() -> None:
    few = fit_gate(models(600, 1), models(8, 2), np.repeat(np.arange(4), 2), 0.05)
    assert few.asked == pytest.approx(0.2)
    assert np.isfinite(few.threshold)
    assert GATE.asked == 0.05


def test_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="must vary over the train runs, got constants"):
        fit_gate(np.ones((5, 3)), np.ones((2, 3)), np.arange(2), 0.1)
