"""What fails a zoo, and in which words."""

import pytest

from sane_core.zoo.duplicates import DUPLICATES
from sane_core.zoo.leakage import check_leakage


def test_a_clean_zoo_passes(zoo_of, nets):
    check_leakage(zoo_of(*(nets.network(i) for i in range(4)), splits="train train test test"))


def test_duplicates_in_one_split_pass(zoo_of, nets):
    original = nets.network(0)
    networks = (original, nets.permuted(original), nets.network(1))
    check_leakage(zoo_of(*networks, splits="train train test"))


@pytest.mark.parametrize(
    ("copy", "words"),
    [("network", "equal to"), ("permuted", "a reordering of"), ("in_bfloat16", "nearly equal to")],
)
def test_a_copy_in_another_split_fails(zoo_of, nets, copy, words):
    original = nets.network(0)
    copied = getattr(nets, copy)(0 if copy == "network" else original)
    zoo = zoo_of(original, nets.network(1), copied, splits="train validation test")
    message = f"got run 2, epoch 1 in test, {words} run 0, epoch 1 in train; keep groups"
    with pytest.raises(ValueError, match=message):
        check_leakage(zoo)


def test_one_shared_untrained_epoch_fails(zoo_of, nets):
    start = nets.network(9)
    zoo = zoo_of(
        *((0, 0, start), (0, 5, nets.network(0)), (1, 0, start), (1, 5, nets.network(1))),
        splits="train test",
    )
    with pytest.raises(ValueError, match="run 1, epoch 0 in test, equal to run 0, epoch 0"):
        check_leakage(zoo)


def test_epochs_of_one_run_in_two_splits_fail(table_of):
    zoo = table_of((0, 1, "train"), (0, 2, "train"), (1, 1, "train"), (1, 2, "test"))
    with pytest.raises(ValueError, match="epoch 1 of run 1 in train and epoch 2 in test; split by"):
        check_leakage(zoo)


def test_an_epoch_without_a_split_is_told_apart(table_of):
    zoo = table_of((0, 1, None), (0, 2, "train"))
    with pytest.raises(ValueError, match="epoch 1 of run 0 in no split and epoch 2 in train"):
        check_leakage(zoo)


def test_a_run_that_appears_twice_at_an_epoch_fails(table_of):
    zoo = table_of((3, 1, "train"), (3, 1, "train"), (4, 1, "test"), (4, 1, "test"))
    with pytest.raises(ValueError, match=r"got run 3 twice at epoch 1 \(and 1 more\); build"):
        check_leakage(zoo)


def test_a_hostile_split_name_is_printable_in_the_message(table_of):
    zoo = table_of((0, 1, "train"), (0, 2, "\x1b[31mte\nst"))
    with pytest.raises(ValueError, match="epoch 2 in ") as error:
        check_leakage(zoo)
    assert str(error.value).isprintable()


def test_duplicates_found_before_are_not_searched_for_again(zoo_of, nets):
    original = nets.network(0)
    zoo = zoo_of(original, original, splits="train test")
    check_leakage(zoo, DUPLICATES.empty_table())
