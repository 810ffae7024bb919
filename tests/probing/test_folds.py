"""Folds deal runs, never checkpoints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sane_core.probing.folds import all_tested, fixed_sides, folded_sides
from schemas.config.probe import ProbeConfig
from schemas.errors import UserError

RUNS = np.repeat(np.arange(20), 3)
SPLIT = np.repeat(["train"] * 10 + ["validation"] * 5 + ["test"] * 5, 3)


@settings(max_examples=30, deadline=None)
@given(folds=st.integers(3, 10), over=st.sampled_from(["unseen", "all"]), seed=st.integers(0, 9))
def test_a_run_lies_on_one_side_of_a_fold_and_is_tested_once(
    folds: int, over: str, seed: int
) -> None:
    sides = folded_sides(RUNS, SPLIT, folds, over, np.random.default_rng(seed))
    assert len(sides) == folds
    for side in sides:
        parts = [set(RUNS[rows]) for rows in (side.train, side.validation, side.test)]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts)) == 20
        assert sum(map(len, (side.train, side.validation, side.test))) == 60
    wanted = np.arange(60) if over == "all" else np.arange(30, 60)
    np.testing.assert_array_equal(all_tested(sides), wanted)


def test_unseen_folds_test_and_choose_on_no_run_that_sane_was_trained_on() -> None:
    for side in folded_sides(RUNS, SPLIT, 5, "unseen", np.random.default_rng(0)):
        assert set(SPLIT[side.train]) >= {"train"}
        assert "train" not in {*SPLIT[side.validation], *SPLIT[side.test]}
    sides = folded_sides(RUNS, SPLIT, 5, "all", np.random.default_rng(0))
    assert any("train" in SPLIT[side.test] for side in sides)


def test_fewer_runs_than_folds_are_refused() -> None:
    rng = np.random.default_rng(0)
    message = r"at most the number of validation and test runs \(10\), got 11; use fewer folds"
    with pytest.raises(UserError, match=message):
        folded_sides(RUNS, SPLIT, 11, "unseen", rng)
    assert len(folded_sides(RUNS, SPLIT, 11, "all", rng)) == 11
    with pytest.raises(UserError, match=r"number of runs \(20\), got 21"):
        folded_sides(RUNS, SPLIT, 21, "all", rng)


def test_two_folds_leave_nothing_to_fit() -> None:
    with pytest.raises(ValueError, match="probe.folds must be 0 or >= 3, got 2"):
        ProbeConfig(folds=2)


def test_sides_among_rows_are_numbered_as_these() -> None:
    (side,) = fixed_sides(np.array(["train", "test", "validation", "train"]))
    among = side.among(np.array([1, 2, 3]))
    assert (among.train.tolist(), among.validation.tolist(), among.test.tolist()) == ([2], [1], [0])
