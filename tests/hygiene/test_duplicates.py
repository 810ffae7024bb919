"""Which checkpoints count as copies of each other, and which do not."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from sane_core.zoo.duplicates import DUPLICATES, find_duplicates, same_side, write_duplicates


def test_networks_trained_apart_are_no_duplicates(zoo_of, nets):
    zoo = zoo_of(*(nets.network(seed) for seed in range(20)))
    assert find_duplicates(zoo).num_rows == 0
    assert same_side(zoo) == []


def test_an_equal_network_is_found_at_any_epoch(zoo_of, nets):
    zoo = zoo_of((0, 3, nets.network(0)), (1, 3, nets.network(1)), (2, 7, nets.network(0)))
    assert find_duplicates(zoo).to_pylist() == [
        {"run": 2, "epoch": 7, "other_run": 0, "other_epoch": 3}
        | {"kind": "equal", "largest_difference": 0.0}
    ]
    assert same_side(zoo) == [frozenset({0, 2})]


def test_a_permuted_copy_is_found(zoo_of, nets):
    original = nets.network(0)
    zoo = zoo_of(original, nets.network(1), nets.permuted(original))
    (row,) = find_duplicates(zoo).to_pylist()
    assert (row["run"], row["other_run"], row["kind"]) == (2, 0, "permuted")


def test_one_changed_weight_makes_another_network(zoo_of, nets):
    original = nets.network(0)
    changed = nets.permuted(original)
    changed["fc.bias"] = changed["fc.bias"] + np.float32([0.01] + 9 * [0])
    assert same_side(zoo_of(original, changed)) == []


def test_values_moved_to_another_entry_make_another_network(zoo_of, nets):
    original = nets.network(0)
    swapped = original | {
        "conv.bias": original["fc.bias"][:8],
        "fc.bias": np.append(original["conv.bias"], original["fc.bias"][8:]),
    }
    assert same_side(zoo_of(original, swapped)) == []


@pytest.mark.parametrize("rounded", ["in_half_precision", "in_bfloat16"])
def test_a_half_precision_copy_is_found_however_its_units_are_ordered(zoo_of, nets, rounded):
    original = nets.network(0)
    copy = getattr(nets, rounded)(nets.permuted(original))
    zoo = zoo_of(original, nets.network(1), copy)
    (row,) = find_duplicates(zoo).to_pylist()
    assert (row["run"], row["other_run"], row["kind"]) == (2, 0, "near")
    values = np.concatenate([values.ravel() for values in original.values()])
    rounding = 2**-9 if rounded == "in_bfloat16" else 2**-11
    assert 0 < row["largest_difference"] <= rounding * np.abs(values).max()


def test_two_roundings_of_one_network_are_copies_of_each_other(zoo_of, nets):
    original = nets.network(0)
    zoo = zoo_of(nets.in_half_precision(original), nets.in_bfloat16(original))
    assert same_side(zoo) == [frozenset({0, 1})]


@pytest.mark.parametrize("step", [1e-3, 3e-4])
def test_a_network_trained_one_step_further_is_no_duplicate(zoo_of, nets, step):
    original = nets.network(0)
    assert same_side(zoo_of(original, nets.retrained(original, step))) == []


def test_a_sketch_that_agrees_is_not_enough(zoo_of, nets):
    """Least, middle and largest value stay, and one other value changes by 2 %."""
    original = nets.network(0)
    place = np.argsort(original["fc.weight"].ravel())[60]
    changed = original["fc.weight"].ravel().copy()
    changed[place] *= np.float32(1.02)
    zoo = zoo_of(original, original | {"fc.weight": changed.reshape(10, 8)})
    assert same_side(zoo) == []


def test_untrained_networks_of_one_seed_are_duplicates(zoo_of, nets):
    start = nets.network(5)
    zoo = zoo_of((0, 0, start), (1, 0, start), (0, 9, nets.network(1)), (1, 9, nets.network(2)))
    (row,) = find_duplicates(zoo).to_pylist()
    assert (row["epoch"], row["other_epoch"], row["kind"]) == (0, 0, "equal")


def test_equal_epochs_of_one_run_are_no_duplicates(zoo_of, nets):
    stuck = nets.network(0)
    zoo = zoo_of((0, 1, stuck), (0, 2, stuck), (0, 3, nets.in_half_precision(stuck)))
    assert find_duplicates(zoo).num_rows == 0


def test_buffers_do_not_count(zoo_of, nets):
    def with_buffers(seed: int) -> dict[str, np.ndarray]:
        return nets.network(0) | {
            "norm.running_mean": np.random.default_rng(seed).random(4, np.float32),
            "positions": np.arange(seed, seed + 3),
        }

    assert same_side(zoo_of(with_buffers(0), with_buffers(1))) == [frozenset({0, 1})]


def test_other_names_or_shapes_make_another_network(zoo_of, nets):
    original = nets.network(0)
    turned = original | {"fc.weight": original["fc.weight"].reshape(8, 10)}
    renamed = {name.replace("fc", "head"): values for name, values in original.items()}
    assert same_side(zoo_of(original, turned, renamed)) == []


def test_the_order_of_entries_does_not_count(zoo_of, nets):
    original = nets.network(0)
    turned = dict(reversed(original.items()))
    assert same_side(zoo_of(original, turned)) == [frozenset({0, 1})]


def test_networks_that_diverged_are_no_duplicates_of_each_other(zoo_of, nets):
    diverged = nets.network(0) | {"fc.bias": np.full(10, np.nan, np.float32)}
    assert same_side(zoo_of(diverged, diverged)) == []


def test_copies_of_copies_are_one_group(zoo_of, nets):
    first, other = nets.network(0), nets.network(1)
    zoo = zoo_of(
        *(first, other, nets.permuted(first)),
        *(nets.in_half_precision(nets.permuted(first)), nets.network(2), other),
    )
    assert same_side(zoo) == [frozenset({0, 2, 3}), frozenset({1, 5})]


@pytest.mark.parametrize(("scales", "groups"), [((0, 2), []), ((0, 2, 1), [{0, 1, 2}])])
def test_near_duplicates_are_joined_through_one_between_them(zoo_of, nets, scales, groups):
    first = nets.network(0)
    scaled = [
        {name: values * np.float32(1 + 0.003 * scale) for name, values in first.items()}
        for scale in scales
    ]
    assert same_side(zoo_of(*scaled)) == groups


def test_every_epoch_of_a_copied_run_has_its_row(zoo_of, nets):
    epochs = {epoch: nets.network(epoch) for epoch in range(5)}
    zoo = zoo_of(
        *((0, epoch, net) for epoch, net in epochs.items()),
        *((1, epoch, nets.in_half_precision(net)) for epoch, net in epochs.items()),
    )
    rows = find_duplicates(zoo).to_pylist()
    assert [(row["epoch"], row["other_epoch"]) for row in rows] == [(e, e) for e in range(5)]


def test_many_copies_are_linked_without_comparing_all_pairs(zoo_of, nets):
    original = nets.network(0)
    rng = np.random.default_rng(0)
    copies = [
        {
            name: v * (1 + np.float32(1e-4) * rng.random(v.shape, np.float32))
            for name, v in original.items()
        }
        for _ in range(300)
    ]
    zoo = zoo_of(*copies)
    assert same_side(zoo) == [frozenset(range(300))]
    assert find_duplicates(zoo).num_rows == 299


def test_it_does_not_matter_how_weights_are_cut_into_files_and_row_groups(tmp_path, zoo_of, nets):
    original = nets.network(0)
    zoo = zoo_of(
        *(original, nets.network(1), nets.permuted(original), nets.in_half_precision(original)),
        files=2,
        groups=3,
    )
    path = zoo / "weights" / "part-00000.parquet"
    assert pq.ParquetFile(path).num_row_groups == 3
    assert same_side(zoo) == [frozenset({0, 2, 3})]


def test_the_table_is_written_beside_the_weights(zoo_of, nets):
    zoo = zoo_of(nets.network(0), nets.network(0))
    table = write_duplicates(zoo)
    assert table.schema == DUPLICATES
    assert pq.read_table(zoo / "duplicates.parquet").equals(table)


def test_a_checkpoint_that_stands_twice_in_the_weights_is_refused(zoo_of, nets):
    zoo = zoo_of((0, 1, nets.network(0)), (1, 1, nets.network(1)), (0, 1, nets.network(2)))
    with pytest.raises(ValueError, match="must stand in the weights once, got run 0, epoch 1"):
        same_side(zoo)
