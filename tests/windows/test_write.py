"""What is written is what FFCV's own writer writes, byte for byte, whole or not at all."""

import errno
import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sane_core.windows.beton import sidecar_path, verify_beton
from sane_core.windows.layout import WindowSpec
from sane_core.windows.write import Window, write_beton
from schemas.errors import DamagedWindows, DiskFull

ORACLE = Path(__file__).with_name("ffcv_oracle.py")


def window(spec: WindowSpec, rng: np.random.Generator) -> Window:
    shape = spec.arrays["tokens"].shape
    return Window(
        rng.standard_normal(shape, dtype=np.float32),
        rng.integers(0, 100, (spec.length, 3)),
        rng.integers(0, spec.d_t, shape[:2], endpoint=True),
    )


def stage(folder: Path, spec: WindowSpec, runs, epochs, windows: list[Window]) -> None:
    """Put samples where FFCV's writer finds them."""
    staged = [np.stack(arrays) for arrays in zip(*windows, strict=True)]
    if spec.dtype == "float16":
        staged[0] = staged[0].astype("<f2").view("<i2")
    for array, (name, field) in zip(staged, spec.arrays.items(), strict=True):
        np.save(folder / f"{name}.npy", array.astype(field.dtype))
    np.save(folder / "run.npy", runs)
    np.save(folder / "epoch.npy", epochs)
    job = {"page_size": spec.page_size, "fields": spec.fields}
    (folder / "job.json").write_text(json.dumps(job))


SPECS = {
    "one page": WindowSpec(300, 3, 8, 31, "float32", "int32"),
    "page after page": WindowSpec(45, 2, 64, 1500, "float16", "int16"),
    "larger pages": WindowSpec(15, 2, 3000, 101, "float32", "int16"),
    # Tokens and positions of a 10th sample fit into the page, its lengths do not.
    "a page that ends within a sample": WindowSpec(14, 5, 32_300, 1, "float16", "int16"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """Write every case twice, FFCV's all by one process: its import takes seconds."""
    pytest.importorskip("ffcv")
    folders, rng = {}, np.random.default_rng(0)
    for name, spec in SPECS.items():
        folder = folders[name] = tmp_path_factory.mktemp("case")
        windows = [window(spec, rng) for _ in range(spec.samples)]
        runs, epochs = rng.integers(0, 2**40, (2, spec.samples))
        write_beton(folder / "own.beton", spec, runs, epochs, windows)
        stage(folder, spec, runs, epochs, windows)
    subprocess.run([sys.executable, ORACLE, *folders.values()], check=True, timeout=120)
    return folders


@pytest.mark.parametrize("name", SPECS)
def test_the_file_is_that_of_ffcvs_own_writer_byte_for_byte(name, written):
    own, oracle = (written[name] / f"{who}.beton" for who in ("own", "oracle"))
    verify_beton(own)
    assert own.read_bytes() == oracle.read_bytes()


def test_the_same_windows_give_the_same_bytes_and_others_give_others(tmp_path, drawn):
    arrays = drawn()
    other = replace(arrays, epochs=arrays.epochs + 1)
    one, two, three = (
        of.write(tmp_path / f"{name}.beton", "float32")
        for name, of in (("one", arrays), ("two", arrays), ("three", other))
    )
    files = [(tmp_path / f"{name}.beton").read_bytes() for name in ("one", "two", "three")]
    assert one == two
    assert files[0] == files[1]
    assert one.sha256 != three.sha256
    assert files[0] != files[2]


def test_halves_are_stored_as_floats_that_round_to_them_are(tmp_path, drawn):
    arrays = drawn(samples=5)
    halves = replace(arrays, tokens=arrays.tokens.astype(np.float16))
    one, two = (
        of.write(tmp_path / f"{name}.beton", "float16")
        for name, of in (("floats", arrays), ("halves", halves))
    )
    assert one == two


def test_writing_leaves_the_file_and_its_sidecar_only(tmp_path, drawn):
    drawn(samples=5).write(tmp_path / "windows.beton", "float16")
    assert {file.name for file in tmp_path.iterdir()} == {"windows.beton", "windows.beton.json"}


def test_writing_holds_a_page_in_memory_and_not_the_set(tmp_path):
    spec = WindowSpec(60, 1, 512, 512, "float32", "int16")
    one = window(spec, np.random.default_rng(0))
    runs = np.arange(spec.samples)
    tracemalloc.start()
    try:
        write_beton(tmp_path / "w.beton", spec, runs, runs, (one for _ in runs))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spec.samples * spec.sample_bytes > 60e6
    assert peak < 1.5 * spec.page_size


def test_a_full_disk_is_said_and_nothing_is_committed(tmp_path, drawn, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "windows.beton"
    monkeypatch.setattr("sane_core.windows.write.os.fsync", full)
    with pytest.raises(DiskFull, match="no space left to write .*; nothing was committed"):
        drawn(samples=5).write(path, "float16")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_is_said_too(tmp_path, drawn):
    arrays = drawn(samples=5)

    def windows():
        yield Window(arrays.tokens[0], arrays.positions[0], arrays.lengths[0])
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with pytest.raises(DiskFull, match="free some and run again"):
        write_beton(
            tmp_path / "w.beton", arrays.spec("float16"), arrays.runs, arrays.epochs, windows()
        )
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_file_that_was_there(tmp_path, drawn):
    path = tmp_path / "windows.beton"
    drawn(samples=5).write(path, "float16")
    before = path.read_bytes()
    bad = drawn(samples=5)
    bad.tokens[4, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="tokens must be finite, got others in sample 4"):
        bad.write(path, "float16")
    verify_beton(path)
    assert path.read_bytes() == before


def test_a_file_without_its_sidecar_was_never_committed(tmp_path, drawn):
    path = tmp_path / "windows.beton"
    drawn(samples=5).write(path, "float16")
    sidecar_path(path).unlink()
    with pytest.raises(DamagedWindows, match=r"has no sidecar .* never committed"):
        verify_beton(path)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"tokens": np.zeros((2, 1, 4, 5))}, r"tokens of sample 0 must be .*, got float64"),
        (
            {"positions": np.zeros((2, 4, 2), int)},
            r"positions of sample 0 must be integers \(4, 3\), got int64 \(4, 2\)",
        ),
        ({"positions": np.full((2, 4, 3), -1)}, r"sample 0 must lie in 0\.\.32767, got -1"),
        ({"positions": np.full((2, 4, 3), 2**15)}, r"lie in 0\.\.32767, got 32768\.\.32768"),
        ({"lengths": np.full((2, 1, 4), 6)}, r"lengths of sample 0 must lie in 0\.\.5, got 6\.\.6"),
        ({"runs": np.zeros(2)}, "runs must be integers"),
        ({"runs": np.array([0, -1])}, r"runs must lie in 0\.\..*, got -1\.\.0"),
        ({"epochs": np.zeros(3, int)}, r"epochs must be integers \(2,\), got int64 \(3,\)"),
    ],
)
def test_arrays_that_are_no_windows_are_refused(tmp_path, drawn, change, law):
    arrays = replace(small(drawn), **change)
    windows = map(Window, arrays.tokens, arrays.positions, arrays.lengths)
    spec = WindowSpec(2, 1, 4, 5, "float32", "int16")
    with pytest.raises(ValueError, match=law):
        write_beton(tmp_path / "w.beton", spec, arrays.runs, arrays.epochs, windows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dtype", "value", "law"),
    [
        ("float32", np.nan, "tokens must be finite, got others in sample 1"),
        ("float16", np.inf, "tokens must be finite, got others in sample 1"),
        ("float16", 7e4, r"must fit float16 \(at most 65504\); store float32, got .* sample 1"),
    ],
)
def test_values_that_cannot_be_stored_are_refused_and_leave_nothing(
    tmp_path, drawn, dtype, value, law
):
    arrays = small(drawn)
    arrays.tokens[1, 0, 0, 0] = value
    with pytest.raises(ValueError, match=law):
        arrays.write(tmp_path / "windows.beton", dtype)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_halves_that_are_not_finite_are_refused(tmp_path, drawn, value):
    arrays = small(drawn)
    halves = replace(arrays, tokens=arrays.tokens.astype(np.float16))
    halves.tokens[1, 0, 3, 4] = value
    with pytest.raises(ValueError, match="must be finite, got others in sample 1"):
        halves.write(tmp_path / "windows.beton", "float16")


@pytest.mark.parametrize(("given", "law"), [(1, "must be 2 windows, got 1"), (3, "2 .* got more")])
def test_another_number_of_windows_than_was_announced_is_refused(tmp_path, drawn, given, law):
    arrays = small(drawn)
    one = Window(arrays.tokens[0], arrays.positions[0], arrays.lengths[0])
    spec = arrays.spec("float16")
    with pytest.raises(ValueError, match=law):
        write_beton(tmp_path / "w.beton", spec, arrays.runs, arrays.epochs, [one] * given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "law"),
    [
        (WindowSpec(0, 1, 4, 5, "float16", "int16"), "samples, views, length and d_t must be >= 1"),
        (WindowSpec(1, 1, 4, 2**15, "float16", "int16"), "d_t must be at most 32767, got 32768"),
        (WindowSpec(1, 9, 50_000, 400, "float32", "int16"), "8 samples must fit 2147483648 bytes"),
    ],
)
def test_windows_that_no_file_can_hold_are_refused(tmp_path, spec, law):
    with pytest.raises(ValueError, match=law):
        write_beton(tmp_path / "w.beton", spec, np.zeros(1, int), np.zeros(1, int), [])


def small(drawn):
    return replace(
        drawn(samples=2),
        tokens=np.zeros((2, 1, 4, 5), np.float32),
        positions=np.zeros((2, 4, 3), int),
        lengths=np.zeros((2, 1, 4), int),
    )
