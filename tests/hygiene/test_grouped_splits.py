"""Splits that keep groups of duplicates together."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sane_core.zoo.grouped_splits import SPLITS, split_groups
from sane_core.zoo.splits import split_runs

SHARES = (0.7, 0.15)


@given(st.integers(3, 200), st.integers(0, 99), st.sampled_from([SHARES, (0.5, 0.25), (0.9, 0.05)]))
@settings(max_examples=40, deadline=None)
def test_without_groups_splits_are_those_of_single_runs(members, seed, shares):
    runs = list(range(members))
    split = split_groups(runs, [], *shares, seed)
    assert list(split.items()) == list(split_runs(runs, *shares, seed).items())


@given(st.lists(st.integers(1, 6), min_size=3, max_size=40), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_no_group_is_cut_and_no_split_is_empty(sizes, seed):
    groups = groups_of(sizes)
    split = split_groups(list(range(sum(sizes))), groups, *SHARES, seed)
    assert sorted(split) == list(range(sum(sizes)))
    assert all(len({split[run] for run in group}) == 1 for group in groups)
    assert set(split.values()) == set(SPLITS)


@given(st.lists(st.integers(2, 5), max_size=10), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_shares_are_exact_where_enough_runs_are_alone(sizes, seed):
    members = 100
    split = split_groups(list(range(members)), groups_of(sizes), *SHARES, seed)
    assert Counter(split.values()) == {"train": 70, "validation": 15, "test": 15}


def test_pairs_alone_are_split_as_well_as_pairs_can_be():
    split = split_groups(list(range(100)), groups_of([2] * 50), *SHARES, 0)
    assert sorted(Counter(split.values()).values()) in ([14, 16, 70], [15, 15, 70])


def test_groups_are_not_all_put_in_train():
    placed = Counter(
        split_groups(list(range(40)), [frozenset({1, 2})], *SHARES, seed)[1] for seed in range(300)
    )
    assert 150 < placed["train"] < 260
    assert min(placed["validation"], placed["test"]) > 15


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_listing():
    runs, groups = list(range(30)), groups_of([4, 3, 2, 2])
    split = split_groups(runs, groups, *SHARES, 1)
    assert split == split_groups(runs[::-1], groups[::-1], *SHARES, 1)
    assert split != split_groups(runs, groups, *SHARES, 2)


def test_a_group_larger_than_train_leaves_something_for_the_others():
    split = split_groups(list(range(20)), [frozenset(range(18))], *SHARES, 0)
    assert sorted(Counter(split.values()).values()) == [1, 1, 18]


def test_two_groups_cannot_be_split_into_three():
    with pytest.raises(ValueError, match="do not repeat each other.*got 2 among 8; leave out"):
        split_groups(list(range(8)), groups_of([4, 4]), *SHARES, 0)


@pytest.mark.parametrize("groups", [[{1, 2}, {2, 3}], [{1, 99}]])
def test_groups_that_make_no_sense_are_named(groups):
    with pytest.raises(ValueError, match=r"must be disjoint and hold runs of the zoo, got \["):
        split_groups(list(range(8)), [frozenset(group) for group in groups], *SHARES, 0)


def groups_of(sizes: list[int]) -> list[frozenset[int]]:
    """Return groups of consecutive runs; those of one run are runs that are alone."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    groups = [frozenset(range(s, s + n)) for s, n in zip(starts, sizes, strict=True)]
    return [group for group in groups if len(group) > 1]
