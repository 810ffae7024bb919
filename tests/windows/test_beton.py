"""A damaged file of windows is never read, and says what is wrong with it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sane_core.windows.beton import sidecar_path, verify_beton
from sane_core.windows.layout import allocations_of, head_of
from schemas.errors import DamagedWindows

REMEDY = "delete its folder and run the windows stage again"


@pytest.fixture(scope="module", params=["float32", "float16"])
def written(request, drawn, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("written") / "windows.beton"
    drawn(highest_position=100 if request.param == "float16" else 70_000).write(path, request.param)
    return path


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    """A committed file of its own, to be damaged."""
    for file in (written, sidecar_path(written)):
        shutil.copy(file, tmp_path)
    return tmp_path / written.name


def test_positions_are_stored_as_narrow_as_they_allow(written):
    spec = verify_beton(written).spec
    assert spec.position_dtype == ("int16" if spec.dtype == "float16" else "int32")


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
        (lambda path: edit(path, schema_version=1), "by windows schema 1, this code reads 2"),
        (lambda path: edit(path, samples=10**9), "has altered tables"),
        (lambda path: edit(path, d_t=30), r"differs from its sidecar: field tokens is .* 31\]"),
    ],
)
def test_a_damaged_file_is_refused(copy: Path, damage: Callable[[Path], None], law: str) -> None:
    verify_beton(copy)
    damage(copy)
    with pytest.raises(DamagedWindows, match=law) as caught:
        verify_beton(copy)
    assert str(caught.value).startswith(str(copy))
    assert str(caught.value).endswith(REMEDY)


def test_samples_that_are_not_where_they_must_be_are_refused(copy):
    """Both readers go by addresses that follow from the sizes."""
    spec = verify_beton(copy).spec
    content = bytearray(copy.read_bytes())
    runs = np.zeros(spec.samples, int)
    swapped = np.frombuffer(head_of(spec, runs, runs)[spec.rows_at :], spec.row)[::-1]
    head = content[: spec.rows_at] + swapped.tobytes()
    content[: len(head)] = head
    copy.write_bytes(content)
    sidecar = json.loads(sidecar_path(copy).read_text())
    tables = hashlib.sha256(head + allocations_of(spec)).hexdigest()
    sidecar |= {"tables_sha256": tables, "sha256": hashlib.sha256(content).hexdigest()}
    sidecar_path(copy).write_text(json.dumps(sidecar))
    with pytest.raises(DamagedWindows, match="samples are not where they must be"):
        verify_beton(copy)


def test_another_token_size_or_window_length_is_refused(written):
    verify_beton(written, d_t=31, length=8)
    with pytest.raises(DamagedWindows, match="compiled with d_t 31, but d_t 73 is needed"):
        verify_beton(written, d_t=73)
    with pytest.raises(DamagedWindows, match="compiled with length 8, but length 48 is needed"):
        verify_beton(written, length=48)
