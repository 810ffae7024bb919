"""Runs are split once, by seed, and never by epoch."""

from collections import Counter

import pytest

from sane_core.zoo.splits import split_runs


def test_every_run_lies_in_one_split_of_the_asked_size():
    split = split_runs(list(range(200)), 0.7, 0.15, seed=0)
    assert sorted(split) == list(range(200))
    assert Counter(split.values()) == {"train": 140, "validation": 30, "test": 30}


@pytest.mark.parametrize("members", [3, 4, 5, 10])
def test_the_smallest_zoos_still_have_every_split(members):
    split = split_runs(list(range(members)), 0.7, 0.15, seed=0)
    assert set(split.values()) == {"train", "validation", "test"}


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_listing():
    runs = list(range(50))
    split = split_runs(runs, 0.7, 0.15, seed=0)
    assert split_runs(runs[::-1], 0.7, 0.15, seed=0) == split
    assert split_runs(runs, 0.7, 0.15, seed=1) != split


def test_two_runs_cannot_be_split_into_three():
    with pytest.raises(ValueError, match="a zoo must have >= 3 runs to split into three, got 2"):
        split_runs([0, 1], 0.7, 0.15, seed=0)
