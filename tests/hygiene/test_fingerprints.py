"""Fingerprints are the same while writing and after, and let no copy through."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sane_core.zoo import weight_shards
from sane_core.zoo.build import _write_weights
from sane_core.zoo.duplicates import find_duplicates
from sane_core.zoo.fingerprints import Placed, fingerprint_of, fingerprints, ordered_digest
from sane_core.zoo.near_duplicates import ABSOLUTE, RELATIVE, suspects
from sane_core.zoo.weight_entries import Place, weights_of
from sane_core.zoo.weight_shards import RowGroup, ShardWriter

ENTRIES = arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.floats(-60_000, 60_000, width=32, allow_subnormal=True),
)


def print_of(run, net, epoch=1):
    """Take a fingerprint of a network that stands nowhere."""
    return Placed(run, epoch, fingerprint_of(net.items()), Place("none.parquet", 0, 0))


def written(folder, checkpoints):
    """Write checkpoints as a zoo does, a file for every four, and return their fingerprints."""
    (folder / "weights").mkdir()
    prints = []
    for start in range(0, len(checkpoints), 4):
        path = folder / "weights" / f"part-{start // 4:05d}.parquet"
        with ShardWriter(path, RowGroup()) as writer:
            for run, epoch, net in checkpoints[start : start + 4]:
                dtypes = {name: str(values.dtype) for name, values in net.items()}
                own = {name: values.astype(np.float32) for name, values in net.items()}
                place = writer.add(run, epoch, own, dtypes)
                prints.append(Placed(run, epoch, fingerprint_of(weights_of(own, dtypes)), place))
    return prints


def told(prints):
    """Return all that fingerprints say, as plain values that can be compared."""
    return [
        (each.run, each.epoch, each.place, mark.layout, mark.exact, mark.sketch.tolist())
        + (mark.values,)
        for each in prints
        for mark in [each.fingerprint]
    ]


@pytest.mark.parametrize("largest", [2**26, 1200, 400])
def test_fingerprints_taken_while_writing_equal_those_read_back(
    tmp_path, nets, monkeypatch, largest
):
    """Also where row groups end between checkpoints, or within one."""
    for bound in ("LARGEST_GROUP", "GROUP", "SMALLEST_GROUP"):
        monkeypatch.setattr(weight_shards, bound, largest)
    buffers = {"aa.running_mean": np.ones(90, np.float32), "zz.num_batches_tracked": np.arange(80)}
    first, second = sorted(buffers)
    checkpoints = [
        (run, 0, {first: buffers[first]} | nets.network(run) | {second: buffers[second]})
        for run in range(10)
    ]
    prints = written(tmp_path, checkpoints)
    assert told(prints) == told(fingerprints(tmp_path / "weights"))


def test_a_trained_zoo_has_the_fingerprints_of_its_files(tmp_path, nets):
    networks = [nets.network(run) for run in range(6)]
    stacked = {name: np.stack([net[name] for net in networks]) for name in networks[0]}
    chunks = [
        SimpleNamespace(
            members=[SimpleNamespace(run=run) for run in runs],
            entries=lambda epoch, runs=runs: {n: v[runs] + epoch for n, v in stacked.items()},
            architecture=SimpleNamespace(parameter_count=lambda: 10_000_000),
        )
        for runs in ([0, 1, 2], [3, 4, 5])
    ]
    prints = _write_weights(tmp_path / "weights", chunks, [0, 2])
    assert len({each.place.file for each in prints}) == 2
    ordered = sorted(prints, key=lambda each: (each.run, each.epoch))
    assert told(ordered) == told(fingerprints(tmp_path / "weights"))


@pytest.mark.parametrize("copy", ["network", "permuted", "in_half_precision", "in_bfloat16"])
def test_copies_are_found_by_fingerprints_taken_while_writing(tmp_path, nets, copy):
    original = nets.network(0)
    copied = getattr(nets, copy)(0 if copy == "network" else original)
    prints = written(tmp_path, [(2, 1, original), (1, 1, nets.network(1)), (0, 1, copied)])
    table = find_duplicates(tmp_path, prints)
    assert table.num_rows == 1
    assert table.equals(find_duplicates(tmp_path))


def test_weights_are_read_again_only_where_two_runs_come_near(tmp_path, nets):
    networks = [nets.network(seed) for seed in range(5)]
    prints = written(tmp_path, [(run, 1, net) for run, net in enumerate([*networks, networks[0]])])
    for path in (tmp_path / "weights").iterdir():
        path.unlink()
    assert find_duplicates(tmp_path, prints).num_rows == 1
    reordered = print_of(9, nets.permuted(networks[0]))
    with pytest.raises(FileNotFoundError):
        find_duplicates(tmp_path, [*prints, reordered])


@given(values=ENTRIES, data=st.data())
def test_no_reordered_and_rounded_copy_escapes_the_sketch(nets, values, data):
    """Small weights, ties, zeros and values far apart included."""
    order = data.draw(st.permutations(range(len(values))))
    rounded = data.draw(st.sampled_from([dict, nets.in_half_precision, nets.in_bfloat16]))
    other = data.draw(st.sampled_from([dict, nets.in_half_precision, nets.in_bfloat16]))
    prints = [print_of(0, other({"w": values})), print_of(1, rounded({"w": values[order]}))]
    assert suspects(prints) == prints


@pytest.mark.parametrize("size", [0.0, 1e-7, 1e-5, 1e-3, 0.1, 30.0, 6e4])
def test_values_as_far_apart_as_two_copies_may_be_are_suspects(size):
    values = size * np.linspace(-1, 1, 20)
    farthest = values * (1 - RELATIVE) - np.sign(values) * ABSOLUTE
    beyond = values * (1 - 2 * RELATIVE) - 2 * ABSOLUTE
    first, second, third = (
        print_of(run, {"w": moved.astype(np.float32)})
        for run, moved in enumerate((values, farthest, beyond))
    )
    assert suspects([first, second]) == [first, second]
    assert suspects([first, third]) == []


@pytest.mark.parametrize("step", [1e-3, 3e-4])
def test_one_step_of_training_leaves_the_sketch(nets, step):
    original = nets.network(0)
    assert suspects([print_of(0, original), print_of(1, nets.retrained(original, step))]) == []


def test_a_run_that_stands_still_is_no_suspect_by_itself(nets):
    stuck = nets.network(0)
    epochs = [print_of(0, nets.in_half_precision(stuck)), print_of(0, stuck, epoch=2)]
    other = print_of(1, nets.network(1))
    assert suspects([*epochs, other]) == []
    copy = print_of(2, nets.permuted(stuck))
    assert suspects([*epochs, other, copy]) == [*epochs, copy]


@pytest.mark.parametrize("size", [1, 2, 7, 4095, 4096, 9001])
@pytest.mark.parametrize("frequent", [0.0, 0.2, 0.6, 1.0])
def test_the_sketch_is_the_ends_and_the_middle_of_the_sorted_values(size, frequent):
    """Whichever way they are found: by sorting what is short or has ties, by partition else."""
    rng = np.random.default_rng(size)
    values = rng.standard_normal(size).astype(np.float32)
    values[rng.random(size) < frequent] = 0.25
    ordered = np.sort(values)
    sketch = fingerprint_of([("w", values)]).sketch
    assert sketch.dtype == np.float32
    assert sketch.tolist() == ordered[[0, size // 2, -1]].tolist()


def test_only_the_same_values_in_the_same_order_have_the_same_exact_digest(nets):
    original = nets.network(0)
    moved = nets.permuted(original)
    digests = [fingerprint_of(net.items()).exact for net in (original, dict(original), moved)]
    assert digests[0] == digests[1] != digests[2]
    assert ordered_digest(original.items()) == ordered_digest(moved.items())


def test_the_exact_digest_covers_every_weight(nets):
    """By entries' name and shape, and no byte twice."""
    original = nets.network(0)
    names = sorted(original, key=lambda name: repr((name, original[name].shape)))
    joined = b"".join(original[name].tobytes() for name in names)
    assert fingerprint_of(original.items()).exact == hashlib.sha256(joined).digest()[:16]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [10, 5000])
def test_a_network_that_diverged_is_like_nothing(value, size):
    values = np.linspace(-1, 1, size, dtype=np.float32)
    assert fingerprint_of([("w", values)]) is not None
    values[3] = value
    assert fingerprint_of([("w", values)]) is None


def test_a_checkpoint_without_weights_is_like_nothing():
    entries = {"bn.running_mean": np.ones(3, np.float32)}
    assert fingerprint_of(weights_of(entries, {"bn.running_mean": "float32"})) is None
