"""A window set survives FFCV bit for bit, and a damaged one is never read."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sane_core.seeding import rng_for
from sane_core.windows.batches import WindowBatch, run_disjoint_batches, sequential_batches
from sane_core.windows.beton import Sidecar, sidecar_path, verify_beton
from sane_core.windows.layout import WindowSpec
from sane_core.windows.numpy_reader import NumpyReader
from sane_core.windows.reader import open_windows
from sane_core.windows.write import WindowArrays, spec_of, write_beton
from schemas.errors import DamagedWindows, SaneError

THREADS = torch.get_num_threads()
pytest.importorskip("ffcv", reason="ffcv is not installed, so no .beton can be written")
torch.set_num_threads(THREADS)  # importing ffcv has just set 1

RUNS, EPOCHS, VIEWS, LENGTH, D_T = 12, 25, 3, 8, 31
REMEDY = "delete its folder and run the windows stage again"


def windows(highest_position: int = 100) -> WindowArrays:
    """Draw 12 runs x 25 epochs of windows: 300 samples, more than one of FFCV's chunks of 100."""
    rng = rng_for(0, "test windows")
    samples = RUNS * EPOCHS
    return WindowArrays(
        tokens=rng.standard_normal((samples, VIEWS, LENGTH, D_T), dtype=np.float32),
        positions=rng.integers(0, highest_position, (samples, LENGTH, 3), endpoint=True),
        lengths=rng.integers(0, D_T, (samples, VIEWS, LENGTH), endpoint=True),
        runs=np.repeat(np.arange(RUNS), EPOCHS),
        epochs=np.tile(np.arange(EPOCHS), RUNS),
    )


@dataclass(frozen=True)
class Written:
    """A committed set and what it was written from."""

    path: Path
    arrays: WindowArrays
    sidecar: Sidecar


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    """Write three sets at once, as FFCV's start takes most of the time; two of them are equal."""

    def write(name: str) -> Written:
        path = tmp_path_factory.mktemp(name.replace(" ", "_")) / "windows.beton"
        half = name == "float16"
        arrays = windows(highest_position=100 if half else 70_000)
        return Written(path, arrays, write_beton(path, arrays, "float16" if half else "float32"))

    names = ("float32", "float16", "float32 again")
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(write, names), strict=True))


@pytest.fixture(scope="module", params=["float32", "float16"])
def written(request: pytest.FixtureRequest, sets: dict[str, Written]) -> Written:
    return sets[request.param]


@pytest.fixture(scope="module")
def ffcv_reader(written: Written) -> Any:
    return open_windows(written.path, "ffcv")


@pytest.fixture
def copy(written: Written, tmp_path: Path) -> Path:
    """A committed set of its own, to be damaged."""
    for file in (written.path, sidecar_path(written.path)):
        shutil.copy(file, tmp_path)
    return tmp_path / written.path.name


def expected(arrays: WindowArrays, dtype: str, indices: np.ndarray) -> WindowBatch:
    return WindowBatch(
        tokens=torch.from_numpy(arrays.tokens[indices].astype(dtype)),
        positions=torch.from_numpy(arrays.positions[indices]),
        lengths=torch.from_numpy(arrays.lengths[indices]),
        runs=torch.from_numpy(arrays.runs[indices]),
        epochs=torch.from_numpy(arrays.epochs[indices]),
    )


def assert_same(one: WindowBatch, two: WindowBatch) -> None:
    for field in fields(WindowBatch):
        left, right = getattr(one, field.name), getattr(two, field.name)
        assert left.dtype == right.dtype, field.name
        assert left.shape == right.shape, field.name
        assert left.numpy().tobytes() == right.numpy().tobytes(), field.name


def test_both_readers_give_back_what_was_written_bit_for_bit_in_the_order_asked_for(
    written: Written,
    ffcv_reader: Any,
) -> None:
    spec = written.sidecar.spec
    oracle = NumpyReader(written.path)
    assert len(oracle) == len(ffcv_reader) == len(written.arrays.runs)
    # The second epoch has other sizes than the first: FFCV alone would cut it short.
    for batch, drop_last in ((12, True), (7, False)):
        rng = rng_for(batch)
        batches = run_disjoint_batches(ffcv_reader.runs, batch, rng, drop_last=drop_last)
        by_ffcv = list(ffcv_reader.epoch_batches(batches))
        by_numpy = list(oracle.epoch_batches(batches))
        for indices, one, two in zip(batches, by_ffcv, by_numpy, strict=True):
            wanted = expected(written.arrays, spec.dtype, indices)
            assert_same(one, wanted)
            assert_same(two, wanted)


def test_another_order_is_another_batch(written: Written) -> None:
    indices = np.arange(5)
    (batch,) = NumpyReader(written.path).epoch_batches([indices[::-1]])
    with pytest.raises(AssertionError, match="tokens"):
        assert_same(batch, expected(written.arrays, written.sidecar.spec.dtype, indices))


def test_positions_are_stored_as_narrow_as_they_allow(written: Written) -> None:
    spec = written.sidecar.spec
    assert spec.position_dtype == ("int16" if spec.dtype == "float16" else "int32")


def test_the_same_windows_give_the_same_bytes_and_others_give_others(
    sets: dict[str, Written],
) -> None:
    one, two = sets["float32"], sets["float32 again"]
    assert one.sidecar == two.sidecar
    assert one.path.read_bytes() == two.path.read_bytes()
    assert sidecar_path(one.path).read_bytes() == sidecar_path(two.path).read_bytes()
    assert one.sidecar.sha256 != sets["float16"].sidecar.sha256


def test_writing_leaves_the_file_and_its_sidecar_only(written: Written) -> None:
    names = {file.name for file in written.path.parent.iterdir()}
    assert names == {"windows.beton", "windows.beton.json"}


def test_ffcv_leaves_the_threads_of_torch_alone(written: Written, ffcv_reader: Any) -> None:
    torch.set_num_threads(3)
    try:
        for _ in ffcv_reader.epoch_batches([np.arange(3)] * 2):
            assert torch.get_num_threads() == 3
        open_windows(written.path, "ffcv")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(THREADS)


def test_the_path_without_ffcv_imports_neither_ffcv_nor_numba_nor_polars() -> None:
    code = (
        "import sys, sane_core.windows.reader, sane_core.windows.numpy_reader, "
        "sane_core.windows.ffcv_reader, sane_core.windows.write; "
        "print(sorted({'ffcv', 'numba', 'polars'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr


def test_an_epoch_that_is_left_early_leaves_no_thread(written: Written, ffcv_reader: Any) -> None:
    before = threading.active_count()
    batches = ffcv_reader.epoch_batches(sequential_batches(300, 4, drop_last=False))
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()
    assert threading.active_count() == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loader_thread_that_dies_is_an_error_and_not_a_hang(
    written: Written, ffcv_reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffcv.loader.epoch_iterator import EpochIterator

    def fail(*_: object) -> None:
        raise RuntimeError("as if the loader had failed")

    monkeypatch.setattr(EpochIterator, "run_pipeline", fail)
    with pytest.raises(SaneError, match="loader thread died"):
        next(ffcv_reader.epoch_batches([np.arange(3)]))


def test_an_index_out_of_range_is_refused_before_ffcv_reads_it(
    written: Written, ffcv_reader: Any
) -> None:
    for reader in (ffcv_reader, NumpyReader(written.path)):
        with pytest.raises(ValueError, match=r"indices in 0\.\.299, got 300\.\.300"):
            reader.epoch_batches([np.array([300])])


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def edit(path: Path, **changes: object) -> None:
    sidecar = sidecar_path(path)
    content = json.loads(sidecar.read_text())
    content["spec"] |= changes
    sidecar.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "law"),
    [
        (cut, r"has \d+ bytes where \d+ were committed"),
        (lambda path: flip(path, 2), "has altered tables"),
        (lambda path: flip(path, 24 + 5 * 1041 + 3), "has altered tables"),
        (lambda path: flip(path, path.stat().st_size - 5), "has altered tables"),
        (lambda path: flip(path, (8 << 20) + 1000), "was altered after it was committed"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: sidecar_path(path).unlink(), "has no sidecar windows.beton.json"),
        (lambda path: cut(sidecar_path(path)), "has an unreadable sidecar windows.beton.json"),
        (lambda path: edit(path, dtype="float8"), "has an unreadable sidecar"),
        (lambda path: edit(path, schema_version=2), "by windows schema 2, this code reads 1"),
        (lambda path: edit(path, samples=10**9), "has altered tables"),
        (lambda path: edit(path, d_t=30), r"differs from its sidecar: field tokens is .* 31\]"),
    ],
)
def test_a_damaged_set_is_refused(copy: Path, damage: Callable[[Path], None], law: str) -> None:
    verify_beton(copy)
    damage(copy)
    for reader in ("numpy", "ffcv"):
        with pytest.raises(DamagedWindows, match=law) as caught:
            open_windows(copy, reader)
        assert str(caught.value).startswith(str(copy))
        assert str(caught.value).endswith(REMEDY)


def test_another_token_size_or_window_length_is_refused(written: Written) -> None:
    verify_beton(written.path, d_t=D_T, length=LENGTH)
    with pytest.raises(DamagedWindows, match="compiled with d_t 31, but d_t 73 is needed"):
        open_windows(written.path, "numpy", d_t=73)
    with pytest.raises(DamagedWindows, match="compiled with length 8, but length 48 is needed"):
        open_windows(written.path, "ffcv", length=48)


def test_a_writer_that_takes_too_long_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "windows.beton"
    with pytest.raises(SaneError, match=r"took more than 0\.3 s and was stopped; nothing was"):
        write_beton(path, windows(), "float32", seconds=0.3)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DamagedWindows, match="is missing"):
        verify_beton(path)


def test_a_writer_whose_worker_dies_is_an_error_and_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WindowSpec, "page_size", 2 << 20)
    arrays = replace(
        small(),
        tokens=np.zeros((2, 1, 4, 200_000), np.float32),
    )
    with pytest.raises(SaneError, match=r"could not write .* Tried allocating 3200000 but page"):
        write_beton(tmp_path / "windows.beton", arrays, "float32", seconds=20)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"tokens": np.zeros((2, 1, 4, 5))}, r"tokens must be float32 .*, got float64"),
        ({"positions": np.zeros((2, 4, 2), int)}, r"positions must be integers \(2, 4, 3\)"),
        ({"positions": np.full((2, 4, 3), -1)}, r"positions must lie in 0\.\.2147483647, got -1"),
        ({"lengths": np.full((2, 1, 4), 6)}, r"lengths must lie in 0\.\.5, got 6\.\.6"),
        ({"runs": np.zeros(2)}, "runs must be integers"),
        ({"epochs": np.zeros(3, int)}, r"epochs must be integers \(2,\), got int64 \(3,\)"),
    ],
)
def test_arrays_that_are_no_windows_are_refused(change: dict[str, np.ndarray], law: str) -> None:
    with pytest.raises(ValueError, match=law):
        spec_of(replace(small(), **change), "float32")


@pytest.mark.parametrize(
    ("dtype", "value", "law"),
    [
        ("float32", np.nan, "tokens must be finite, got others in sample 1"),
        ("float16", 7e4, r"must fit float16 \(at most 65504\); store float32, got .* sample 1"),
    ],
)
def test_values_that_cannot_be_stored_are_refused_and_leave_nothing(
    dtype: Any, value: float, law: str, tmp_path: Path
) -> None:
    arrays = small()
    arrays.tokens[1, 0, 0, 0] = value
    with pytest.raises(ValueError, match=law):
        write_beton(tmp_path / "windows.beton", arrays, dtype)
    assert list(tmp_path.iterdir()) == []


def small() -> WindowArrays:
    return WindowArrays(
        tokens=np.zeros((2, 1, 4, 5), np.float32),
        positions=np.zeros((2, 4, 3), int),
        lengths=np.zeros((2, 1, 4), int),
        runs=np.arange(2),
        epochs=np.arange(2),
    )
