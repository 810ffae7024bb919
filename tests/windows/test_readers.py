"""Both readers give what was written, bit for bit, over shards and sets; FFCV is kept in check."""

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sane_core.seeding import rng_for
from sane_core.windows.batches import WindowBatch, run_disjoint_batches, sequential_batches
from sane_core.windows.facts import read_facts
from sane_core.windows.reader import open_windows
from schemas.errors import DamagedWindows, UserError


@pytest.fixture(scope="module")
def shards(drawn):
    """Three files' windows: the last one's positions need more room."""
    return [drawn(), drawn(samples=40, seed=1), drawn(70_000, samples=90, seed=2)]


@pytest.fixture(scope="module")
def sets(shards, write_set, tmp_path_factory):
    """Two sets: one of two shards, one of one."""
    folders = [tmp_path_factory.mktemp("set") for _ in range(2)]
    return [write_set(folders[0], shards[:2]), write_set(folders[1], shards[2:])]


@pytest.fixture(scope="module", params=["numpy", "ffcv"])
def reader(request, sets):
    """Read all three files; FFCV compiles its code once."""
    if request.param == "ffcv":
        return compiled_by_ffcv(sets)
    return open_windows(sets, "train", "numpy")


@pytest.fixture(scope="module")
def ffcv_reader(sets):
    return compiled_by_ffcv(sets)


def compiled_by_ffcv(sets):
    threads = torch.get_num_threads()
    pytest.importorskip("ffcv")
    torch.set_num_threads(threads)  # importing ffcv has just set 1
    return open_windows(sets, "train", "ffcv")


@pytest.fixture
def copy(sets, tmp_path):
    """The first set, to be damaged."""
    return Path(shutil.copytree(sets[0], tmp_path / "copy"))


def joined(shards, indices) -> WindowBatch:
    """Return the batch as it must be."""
    last = int(shards[0].runs.max()) + 1
    added = np.repeat([0, 0, last], [len(s.runs) for s in shards])
    number = np.repeat([0, 0, 1], [len(s.runs) for s in shards])
    found = {
        field: np.concatenate([getattr(s, field) for s in shards])[indices]
        for field in ("tokens", "positions", "lengths", "runs", "epochs")
    }
    found["tokens"] = found["tokens"].astype(np.float16)
    found["runs"] = found["runs"] + added[indices]
    found["sets"] = number[indices]
    return WindowBatch(**{name: torch.from_numpy(array) for name, array in found.items()})


def assert_same(one: WindowBatch, two: WindowBatch) -> None:
    for field in fields(WindowBatch):
        left, right = getattr(one, field.name), getattr(two, field.name)
        assert left.dtype == right.dtype, field.name
        assert left.shape == right.shape, field.name
        assert left.numpy().tobytes() == right.numpy().tobytes(), field.name


def test_shards_and_sets_are_read_as_one_bit_for_bit_in_the_order_asked_for(shards, reader):
    assert len(reader) == reader.spec.samples == 430
    assert reader.spec.position_dtype == "int32"
    # The second epoch has other sizes than the first: FFCV alone would cut it short.
    for batch, drop_last in ((12, True), (7, False)):
        batches = run_disjoint_batches(reader.runs, batch, rng_for(batch), drop_last=drop_last)
        read = list(reader.epoch_batches(batches))
        for indices, one in zip(batches, read, strict=True):
            assert_same(one, joined(shards, indices))


def test_an_epoch_of_a_few_windows_and_repeated_ones_is_read_too(shards, reader):
    for batches in ([np.array([429])], [np.array([5, 5]), np.array([5, 310, 5])]):
        for indices, one in zip(batches, reader.epoch_batches(batches), strict=True):
            assert_same(one, joined(shards, indices))


def test_one_float32_set_is_read_bit_for_bit(drawn, write_set, tmp_path, by):
    arrays = drawn(samples=130)
    reader = open_windows([write_set(tmp_path, [arrays], "float32")], "train", by)
    order = rng_for(0).permutation(130)
    read = list(reader.epoch_batches(np.array_split(order, 9)))
    assert torch.cat([b.tokens for b in read]).numpy().tobytes() == arrays.tokens[order].tobytes()
    assert torch.cat([b.runs for b in read]).tolist() == arrays.runs[order].tolist()


def test_another_order_is_another_batch(sets, shards):
    (batch,) = open_windows(sets, "train", "numpy").epoch_batches([np.arange(5)[::-1].copy()])
    with pytest.raises(AssertionError, match="tokens"):
        assert_same(batch, joined(shards, np.arange(5)))


def test_batches_stay_as_they_are_while_others_are_read(shards, reader):
    batches = sequential_batches(430, 10, drop_last=False)
    kept = list(reader.epoch_batches(batches))
    assert_same(kept[0], joined(shards, batches[0]))


def test_runs_of_two_sets_are_never_one_run_and_lead_back_to_their_numbers(sets, shards):
    reader = open_windows(sets, "train", "numpy")
    own = [set(reader.runs[reader.sets == number].tolist()) for number in (0, 1)]
    assert not own[0] & own[1]
    back = reader.runs - reader.first_runs[reader.sets]
    assert np.array_equal(back, np.concatenate([arrays.runs for arrays in shards]))


def test_an_index_out_of_range_is_refused_at_once(reader):
    with pytest.raises(ValueError, match=r"indices in 0\.\.429, got 430\.\.430"):
        reader.epoch_batches([np.array([430])])


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"d_t": 30}, "agree in d_t to be trained on together, got 31 in .* and 30 in"),
        ({"length": 9}, "agree in length .* got 8 in .* and 9 in"),
        ({"views": 2}, "agree in views .* got 3 in .* and 2 in"),
        ({"dtype": "float32"}, "agree in dtype .* got float16 in .* and float32 in"),
    ],
)
def test_sets_that_do_not_fit_into_one_batch_are_refused(
    sets, drawn, write_set, tmp_path, change, law
):
    other = write_set(tmp_path / "other", [drawn(samples=3)], **change)
    with pytest.raises(ValueError, match=law) as caught:
        open_windows([sets[0], other], "train", "numpy")
    assert str(sets[0]) in str(caught.value)
    assert str(other) in str(caught.value)


def test_no_set_and_an_unknown_split_are_refused(sets):
    with pytest.raises(ValueError, match="at least one window set, got none"):
        open_windows([], "train", "numpy")
    with pytest.raises(ValueError, match="split must be one of train, validation, got 'test'"):
        open_windows(sets, "test", "numpy")


def edit(folder: Path, **changes) -> None:
    path = folder / "windows.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def swap(folder: Path) -> None:
    """Put the first shard, which is sound in itself, in the place of the second."""
    for end in ("beton", "beton.json"):
        shutil.copy(folder / f"train-00000.{end}", folder / f"train-00001.{end}")


@pytest.mark.parametrize(
    ("damage", "law"),
    [
        (lambda folder: (folder / "train-00001.beton").unlink(), "train-00001.beton is missing"),
        (swap, r"train-00001.beton is not the file that windows.json names \(its SHA-256 differs"),
        (lambda folder: (folder / "windows.json").unlink(), "windows.json is missing"),
        (lambda folder: (folder / "windows.json").write_text("[]"), "windows.json is unreadable"),
        (lambda folder: (folder / "windows.json").write_text("{"), "windows.json is unreadable"),
        (lambda folder: edit(folder, dtype="float8"), "windows.json is unreadable"),
        (lambda folder: edit(folder, schema_version=1), "by windows schema 1, this code reads 2"),
        (lambda folder: edit(folder, d_t=30), "compiled with d_t 31, but windows.json says 30"),
    ],
)
def test_a_damaged_set_is_refused(copy, by, damage, law):
    open_windows([copy], "train", by)
    damage(copy)
    with pytest.raises(DamagedWindows, match=law) as caught:
        open_windows([copy], "train", by)
    assert str(caught.value).endswith("delete its folder and run the windows stage again")


def test_another_token_size_or_window_length_than_needed_is_refused(sets, by):
    with pytest.raises(DamagedWindows, match="compiled with d_t 31, but d_t 73 is needed"):
        open_windows(sets, "train", by, d_t=73)
    with pytest.raises(DamagedWindows, match="compiled with length 8, but length 48 is needed"):
        open_windows(sets, "train", by, length=48)


def test_facts_are_read_as_they_were_written(sets, drawn, write_set, tmp_path):
    facts = read_facts(sets[0] / "windows.json")
    again = write_set(tmp_path, [drawn(), drawn(samples=40, seed=1)])
    assert facts == read_facts(again / "windows.json")
    assert facts.train.samples == 340
    assert facts.layer_variances == (1.0, 0.5)
    assert facts != replace(facts, positions=(1, 2, 3))


def test_the_path_without_ffcv_imports_neither_ffcv_nor_numba_nor_polars():
    code = (
        "import sys, sane_core.windows.reader, sane_core.windows.numpy_reader, "
        "sane_core.windows.ffcv_reader, sane_core.windows.compile, sane_core.windows.ahead; "
        "print(sorted({'ffcv', 'numba', 'polars'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr


def test_ffcv_leaves_the_threads_of_torch_alone(sets, ffcv_reader):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in ffcv_reader.epoch_batches([np.array([0, 310, 400])] * 2):
            assert torch.get_num_threads() == 3
        open_windows(sets, "train", "ffcv")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_ffcv_starts_no_thread(ffcv_reader):
    before = threading.active_count()
    batches = ffcv_reader.epoch_batches(sequential_batches(430, 4, drop_last=False))
    next(batches)
    assert threading.active_count() == before


def test_ffcvs_own_loader_reads_the_file_too(sets, shards, ffcv_reader):
    from ffcv.loader import Loader, OrderOption

    threads = torch.get_num_threads()
    loader = Loader(
        str(sets[0] / "train-00001.beton"),
        batch_size=40,
        num_workers=1,
        os_cache=True,
        order=OrderOption.SEQUENTIAL,
        drop_last=False,
    )
    (batch,) = loader
    torch.set_num_threads(threads)  # the loader has set 1
    tokens, positions, lengths, runs, epochs = (field.numpy() for field in batch)
    arrays = shards[1]
    assert tokens.tobytes() == arrays.tokens.astype(np.float16).tobytes()
    assert np.array_equal(positions, arrays.positions)
    assert np.array_equal(lengths, arrays.lengths)
    assert np.array_equal(runs[:, 0], arrays.runs)
    assert np.array_equal(epochs[:, 0], arrays.epochs)


def test_without_ffcv_its_reader_says_what_to_do(sets, monkeypatch):
    monkeypatch.setitem(sys.modules, "ffcv", None)
    with pytest.raises(UserError, match="ffcv cannot be imported .* set windows.reader to numpy"):
        open_windows(sets, "train", "ffcv")
