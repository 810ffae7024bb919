"""Which windows make a batch."""

import numpy as np
import pytest

from sane_core.seeding import rng_for
from sane_core.windows.batches import (
    check_batches,
    epoch_windows,
    run_disjoint_batches,
    sequential_batches,
)


def rng() -> np.random.Generator:
    return rng_for(0, "batches")


def assert_disjoint(runs: np.ndarray, batches: list[np.ndarray]) -> None:
    for batch in batches:
        assert len(np.unique(runs[batch])) == len(batch)


def test_a_batch_never_holds_two_windows_of_one_run_and_every_window_is_read_once() -> None:
    runs = np.repeat(np.arange(140), 26)
    batches = run_disjoint_batches(runs, 64, rng(), drop_last=False)
    assert_disjoint(runs, batches)
    assert sorted(np.concatenate(batches)) == list(range(len(runs)))
    assert [len(batch) for batch in batches] == [64] * 56 + [56]


def test_a_plain_shuffle_does_put_two_windows_of_one_run_into_a_batch() -> None:
    runs = np.repeat(np.arange(140), 26)
    with pytest.raises(AssertionError):
        assert_disjoint(runs, np.array_split(rng().permutation(len(runs)), 57))


def test_the_surplus_of_a_long_run_ends_in_short_batches_at_the_end() -> None:
    runs = np.array([7] * 6 + [1, 1, 2, 2, 3, 3])
    batches = run_disjoint_batches(runs, 3, rng(), drop_last=False)
    assert_disjoint(runs, batches)
    assert sorted(np.concatenate(batches)) == list(range(len(runs)))
    assert [len(batch) for batch in batches] == [3, 3, 3, 1, 1, 1]


def test_dropping_the_last_leaves_full_batches_only() -> None:
    runs = np.array([7] * 6 + [1, 1, 2, 2, 3, 3])
    batches = run_disjoint_batches(runs, 3, rng(), drop_last=True)
    assert [len(batch) for batch in batches] == [3, 3, 3]


def test_the_same_seed_gives_the_same_batches_and_another_gives_others() -> None:
    runs = np.repeat(np.arange(10), 5)
    one, two, other = (
        np.concatenate(run_disjoint_batches(runs, 5, rng_for(seed), drop_last=True))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("batch", [0, 4])
def test_a_batch_must_not_be_larger_than_the_number_of_runs(batch: int) -> None:
    law = rf"batch must lie in 1\.\.3, .* the 6 windows are of 3 runs; got {batch}"
    with pytest.raises(ValueError, match=law):
        run_disjoint_batches(np.array([0, 0, 1, 1, 2, 2]), batch, rng(), drop_last=False)


def test_sequential_batches_keep_the_order_and_the_rest_when_asked_to() -> None:
    kept = sequential_batches(5, 2, drop_last=False)
    dropped = sequential_batches(5, 2, drop_last=True)
    assert [batch.tolist() for batch in kept] == [[0, 1], [2, 3], [4]]
    assert [batch.tolist() for batch in dropped] == [[0, 1], [2, 3]]
    assert [batch.tolist() for batch in sequential_batches(4, 2, drop_last=True)] == [
        [0, 1],
        [2, 3],
    ]
    assert [batch.tolist() for batch in sequential_batches(3, 9, drop_last=False)] == [[0, 1, 2]]


def test_a_batch_larger_than_the_set_is_an_error_and_not_an_empty_epoch() -> None:
    with pytest.raises(ValueError, match=r"with drop_last, <= the 5 windows; got 6"):
        sequential_batches(5, 6, drop_last=True)


@pytest.mark.parametrize(
    ("batches", "law"),
    [
        ([], "at least one batch, got none"),
        ([np.array([], dtype=int)], "batch 0 must be a row of integers"),
        ([np.array([0]), np.array([0.5])], "batch 1 must be a row of integers"),
        ([np.array([0, 3])], r"must hold indices in 0\.\.2, got 0\.\.3"),
        ([np.array([-1, 1])], r"must hold indices in 0\.\.2, got -1\.\.1"),
    ],
)
def test_batches_that_cannot_be_read_are_refused(batches: list[np.ndarray], law: str) -> None:
    with pytest.raises(ValueError, match=law):
        check_batches(batches, 3)


SETS = np.repeat([0, 1, 2], [10, 20, 7])


def test_weight_one_takes_every_window_once() -> None:
    assert epoch_windows(SETS, [1, 1, 1], rng()).tolist() == list(range(37))


def test_weights_repeat_a_set_and_leave_out_a_random_part() -> None:
    times = np.bincount(epoch_windows(SETS, [2.5, 0.5, 0], rng()), minlength=37)
    assert sorted(times[:10]) == [2] * 5 + [3] * 5
    assert sorted(times[10:30]) == [0] * 10 + [1] * 10
    assert not times[30:].any()
    other = np.bincount(epoch_windows(SETS, [2.5, 0.5, 0], rng_for(1)), minlength=37)
    assert not np.array_equal(times, other)


def test_a_small_weight_takes_one_window_at_least() -> None:
    assert len(epoch_windows(SETS, [0.01, 0, 0], rng())) == 1


def test_windows_that_are_repeated_are_never_in_one_batch() -> None:
    runs = np.repeat(np.arange(12), [3] * 11 + [4])
    chosen = epoch_windows(SETS, [3, 1, 1], rng())
    batches = run_disjoint_batches(runs[chosen], 6, rng(), drop_last=False)
    assert_disjoint(runs, [chosen[batch] for batch in batches])
    assert np.array_equal(np.sort(chosen[np.concatenate(batches)]), chosen)


@pytest.mark.parametrize(
    ("weights", "law"),
    [
        ([1, 1], r"a weight for each of 3 sets, got \[1, 1\]"),
        ([1, 1, 1, 1], "a weight for each of 3 sets"),
        ([1, -1, 1], "must be finite and >= 0"),
        ([1, float("nan"), 1], "must be finite and >= 0"),
        ([0, 0, 0], "one of them > 0"),
    ],
)
def test_weights_that_choose_nothing_sensible_are_refused(weights: list[float], law: str) -> None:
    with pytest.raises(ValueError, match=law):
        epoch_windows(SETS, weights, rng())
