"""Write a window set to FFCV: the same arrays give the same bytes, and only whole sets are kept.

FFCV's writer hangs for ever when its worker dies, so it runs as a process of its own
(`ffcv_writer.py`) under a watchdog, on arrays that were validated first. What it wrote is synced,
digested and renamed, and the sidecar that makes it count comes last.
"""

import errno
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np

from sane_core.windows.beton import Sidecar, file_digest, sidecar_path
from sane_core.windows.layout import MAX_PAGE, WindowSpec, tables_digest
from schemas.errors import DiskFull, SaneError, UserError

CHUNK_BYTES = 32 << 20
INT16_MAX = int(np.iinfo(np.int16).max)


@dataclass(frozen=True)
class WindowArrays:
    """All windows of a set, in memory or memory-mapped.

    Attributes:
        tokens: float32 [S, V, W, d_t]; view 0 is the aligned one.
        positions: integers >= 0 [S, W, 3], each [n, l, k].
        lengths: integers in 0..d_t [S, V, W]: real weights in each token, 0 for padding.
        runs: integers [S]: the run a window was cut from.
        epochs: integers [S]: the epoch of its checkpoint.
    """

    tokens: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    runs: np.ndarray
    epochs: np.ndarray


def write_beton(
    path: Path,
    arrays: WindowArrays,
    dtype: Literal["float32", "float16"],
    *,
    seconds: float | None = None,
) -> Sidecar:
    """Write `arrays` to the `.beton` at `path` and commit it with its sidecar.

    Args:
        path: Where the `.beton` goes; its folder is made where it is missing.
        arrays: The windows.
        dtype: Precision of the stored tokens.
        seconds: Watchdog: FFCV is stopped after so many seconds. None allows two minutes and a
            second per 4 MB.

    Returns:
        The sidecar; its `spec` follows from the arrays.

    Raises:
        ValueError: A shape, a dtype or a value is not as `WindowArrays` says, or does not fit.
        UserError: FFCV is not installed.
        DiskFull: The storage ran out of space.
        SaneError: FFCV failed or was stopped by the watchdog. Nothing is committed in any of
            these cases.
    """
    spec = spec_of(arrays, dtype)
    if importlib.util.find_spec("ffcv") is None:
        raise UserError(f"ffcv must be installed to write {path}; see the installation notes")
    if seconds is None:
        data = spec.samples * sum(field.size for field in spec.arrays.values())
        seconds = 120 + data / 4e6
    path.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(path) as folder:
        _stage(folder, arrays, spec)
        _run_ffcv(folder, path, seconds)
        return _commit(folder / "out.beton", path, spec)


def spec_of(arrays: WindowArrays, dtype: Literal["float32", "float16"]) -> WindowSpec:
    """Return the spec of a set, after checking all of `arrays` but the values of the tokens.

    Raises:
        ValueError: A shape, a dtype or a value is not as `WindowArrays` says.
    """
    tokens, positions, lengths = arrays.tokens, arrays.positions, arrays.lengths
    if tokens.dtype != np.float32 or tokens.ndim != 4 or 0 in tokens.shape:
        raise ValueError(
            f"tokens must be float32 [S, V, W, d_t], not empty, got {tokens.dtype} {tokens.shape}"
        )
    samples, views, length, d_t = tokens.shape
    _check_integers("positions", positions, (samples, length, 3), 0, np.iinfo(np.int32).max)
    _check_integers("lengths", lengths, (samples, views, length), 0, min(d_t, INT16_MAX))
    _check_integers("runs", arrays.runs, (samples,), 0, np.iinfo(np.int64).max)
    _check_integers("epochs", arrays.epochs, (samples,), 0, np.iinfo(np.int64).max)
    spec = WindowSpec(
        samples=samples,
        views=views,
        length=length,
        d_t=d_t,
        dtype=dtype,
        position_dtype="int16" if positions.max() <= INT16_MAX else "int32",
    )
    if spec.page_size > MAX_PAGE:
        raise ValueError(f"8 samples must fit {MAX_PAGE} bytes, got {tokens.shape}; cut W or V")
    return spec


def _check_integers(
    name: str, array: np.ndarray, shape: tuple[int, ...], low: int, high: int
) -> None:
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise ValueError(f"{name} must be integers {shape}, got {array.dtype} {array.shape}")
    if array.min() < low or array.max() > high:
        raise ValueError(f"{name} must lie in {low}..{high}, got {array.min()}..{array.max()}")


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that is gone afterwards; say so when the disk is full."""
    folder = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        folder.mkdir()
        yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full(path) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk_full(path: Path) -> DiskFull:
    return DiskFull(
        f"no space left to write {path}; nothing was committed; free some and run again"
    )


def _stage(folder: Path, arrays: WindowArrays, spec: WindowSpec) -> None:
    """Put the arrays into plain files for the writer's process, a chunk in memory at a time.

    Plain writes: on a full disk they raise, where a memory map would end the process.
    """
    step = max(1, CHUNK_BYTES // (spec.views * spec.length * spec.d_t * 4))
    with (folder / "tokens").open("wb") as file:
        for start in range(0, spec.samples, step):
            file.write(_stored_tokens(arrays.tokens[start : start + step], start, spec).tobytes())
    small = {
        "positions": (arrays.positions, spec.arrays["positions"].dtype),
        "lengths": (arrays.lengths, spec.arrays["lengths"].dtype),
        "run": (arrays.runs, "<i8"),
        "epoch": (arrays.epochs, "<i8"),
    }
    for name, (array, dtype) in small.items():
        (folder / name).write_bytes(np.ascontiguousarray(array, dtype=dtype).tobytes())
    job = {"page_size": spec.page_size, "samples": spec.samples, "integers": spec.integers}
    (folder / "job.json").write_text(json.dumps(job | {"arrays": spec.arrays}))


def _stored_tokens(tokens: np.ndarray, first: int, spec: WindowSpec) -> np.ndarray:
    """Return a chunk of tokens (its first sample is `first`) as it is stored."""
    _check_finite("tokens must be finite", tokens, first)
    if spec.dtype == "float32":
        return tokens.astype("<f4", copy=False)
    with np.errstate(over="ignore"):
        half = tokens.astype("<f2")
    _check_finite("tokens must fit float16 (at most 65504); store float32", half, first)
    return half.view("<i2")


def _check_finite(law: str, chunk: np.ndarray, first: int) -> None:
    finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
    if not finite.all():
        raise ValueError(f"{law}, got others in sample {first + int(np.argmin(finite))}")


def _run_ffcv(folder: Path, path: Path, seconds: float) -> None:
    script = Path(__file__).with_name("ffcv_writer.py")
    # What FFCV says goes to the system's folder: the storage written to may be full.
    with tempfile.TemporaryFile() as log:
        # A session of its own, so that FFCV's worker can be stopped with it.
        child = subprocess.Popen(
            [sys.executable, "-P", str(script), str(folder), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise SaneError(
                f"writing {path} took more than {seconds:g} s and was stopped; nothing was "
                f"committed; run again, with a longer limit if the machine is slow"
            ) from None
        finally:
            if child.returncode != 0:
                _stop(child)
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    if code != 0:
        if os.strerror(errno.ENOSPC) in said:
            raise _disk_full(path)
        lines = re.findall(r"^\w+(?:Error|Exception)\b.*", said, re.MULTILINE) or [said]
        raise SaneError(f"ffcv could not write {path} (exit status {code}); it said: {lines[-1]}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the writer and its worker.

    SIGTERM first: Python's resource tracker, in the same session, survives it and frees the
    shared memory that FFCV had taken.
    """
    for end, grace in ((signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, end)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=grace)
            return


def _commit(written: Path, path: Path, spec: WindowSpec) -> Sidecar:
    """Sync, digest and rename the file, then its sidecar: a sidecar never precedes its file."""
    _sync(written)
    sidecar = Sidecar(
        spec=spec,
        size=written.stat().st_size,
        sha256=file_digest(written),
        tables_sha256=tables_digest(written, spec),
    )
    note = written.with_name("sidecar")
    note.write_text(sidecar.to_json())
    _sync(note)
    sidecar_path(path).unlink(missing_ok=True)
    written.replace(path)
    _sync(path.parent)
    note.replace(sidecar_path(path))
    _sync(path.parent)
    return sidecar


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
