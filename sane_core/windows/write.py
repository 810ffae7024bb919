"""Write windows as a `.beton`, page by page: the same windows give the same bytes.

All addresses are known before the first window is, so the file is written from front to back and
digested on the way, and only a page is in memory. It goes to a name of its own, is synced and
renamed, and the sidecar that makes it count comes last.

Byte for byte the file is what FFCV's own writer makes of the same samples on one worker.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

import numpy as np

from sane_core.windows.beton import Sidecar, sidecar_path
from sane_core.windows.layout import MAX_PAGE, WindowSpec, allocations_of, head_of
from schemas.errors import DiskFull

_HALF_EXPONENT = 0x7C00
"""The exponent's bits of a float16: all set in infinities and what is no number."""
_HALF_SIGN = 0x8000
_ZEROS = 1 << 20


class Window(NamedTuple):
    """One sample.

    Attributes:
        tokens: float32 or float16 [V, W, d_t]; view 0 is the aligned one.
        positions: integers >= 0 [W, 3], each [n, l, k].
        lengths: integers in 0..d_t [V, W]: real weights in each token, 0 for padding.
    """

    tokens: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray


def write_beton(
    path: Path,
    spec: WindowSpec,
    runs: np.ndarray,
    epochs: np.ndarray,
    windows: Iterable[Window],
) -> Sidecar:
    """Write windows to the `.beton` at `path` and commit it with its sidecar.

    Args:
        path: Where the `.beton` goes; its folder is made where it is missing.
        spec: What the samples look like, and how many there are.
        runs: integers >= 0 [S]: the run each window was cut from.
        epochs: integers >= 0 [S]: the epoch of its checkpoint.
        windows: S of them, taken one after another; what they hold is copied.

    Returns:
        The sidecar.

    Raises:
        ValueError: A number, a shape, a dtype or a value is not as said here, or does not fit.
        DiskFull: The storage ran out of space. Nothing is committed in any of these cases.
    """
    _check_spec(spec)
    _check_integers("runs", runs, (spec.samples,), 0, np.iinfo(np.int64).max)
    _check_integers("epochs", epochs, (spec.samples,), 0, np.iinfo(np.int64).max)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _new_file(path) as written:
        with written.open("wb", buffering=0) as file:
            digested = _Digested(file)
            tables = _write(digested, spec, runs, epochs, windows)
            os.fsync(file.fileno())
        sidecar = Sidecar(spec, digested.size, digested.sha256.hexdigest(), tables)
        _commit(written, path, sidecar)
    return sidecar


class _Digested:
    """A file that is digested while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | np.ndarray) -> None:
        left = memoryview(data)  # type: ignore[arg-type]  # NumPy's stubs hide the buffer
        self.sha256.update(left)
        self.size += len(left)
        while left:  # a disk that is nearly full takes a part
            left = left[self._file.write(left) :]


def _write(
    file: _Digested,
    spec: WindowSpec,
    runs: np.ndarray,
    epochs: np.ndarray,
    windows: Iterable[Window],
) -> str:
    """Write all of a file; return the SHA-256 of its tables."""
    head, allocations = head_of(spec, runs, epochs), allocations_of(spec)
    file.write(head)
    for start in range(len(head), spec.first_page, _ZEROS):
        file.write(bytes(min(_ZEROS, spec.first_page - start)))
    for page in _pages(spec, windows):
        file.write(page)
    file.write(allocations)
    return hashlib.sha256(head + allocations).hexdigest()


def _pages(spec: WindowSpec, windows: Iterable[Window]) -> Iterator[np.ndarray]:
    """Fill page after page, uint8 [page size], in memory that is used again."""
    page, filled, count = np.zeros(spec.page_size, np.uint8), 0, 0
    for count, window in enumerate(windows, start=1):
        if count > spec.samples:
            raise ValueError(f"there must be {spec.samples} windows, got more")
        arrays = _stored(window, count - 1, spec)
        if filled + spec.sample_bytes > spec.page_size:
            # FFCV begins a sample before it finds that the page is too short for all of it.
            _fill(page, filled, arrays)
            yield page
            page[:], filled = 0, 0
        filled = _fill(page, filled, arrays)
    if count < spec.samples:
        raise ValueError(f"there must be {spec.samples} windows, got {count}")
    yield page


def _fill(page: np.ndarray, start: int, arrays: list[np.ndarray]) -> int:
    """Copy arrays into a page, up to the first that does not fit; return where they end."""
    for array in arrays:
        if start + array.nbytes > len(page):
            break
        page[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
        start += array.nbytes
    return start


def _stored(window: Window, sample: int, spec: WindowSpec) -> list[np.ndarray]:
    """Return a window's arrays as they are stored, after checking them."""
    tokens, positions, lengths = window
    views, length, d_t = spec.arrays["tokens"].shape
    if tokens.dtype not in (np.float32, np.float16) or tokens.shape != (views, length, d_t):
        raise ValueError(
            f"tokens of sample {sample} must be float32 or float16 {(views, length, d_t)}, "
            f"got {tokens.dtype} {tokens.shape}"
        )
    largest = np.iinfo(spec.position_dtype).max
    _check_integers(f"positions of sample {sample}", positions, (length, 3), 0, int(largest))
    _check_integers(f"lengths of sample {sample}", lengths, (views, length), 0, d_t)
    rest = {"positions": positions, "lengths": lengths}
    return [
        _stored_tokens(tokens, sample, spec),
        *(np.ascontiguousarray(array, spec.arrays[name].dtype) for name, array in rest.items()),
    ]


def _stored_tokens(tokens: np.ndarray, sample: int, spec: WindowSpec) -> np.ndarray:
    if not _is_finite(tokens):
        raise ValueError(f"tokens must be finite, got others in sample {sample}")
    if spec.dtype == "float32":
        return np.ascontiguousarray(tokens, "<f4")
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(tokens, "<f2")
    if tokens.dtype != np.float16 and not _is_finite(half):
        raise ValueError(
            f"tokens must fit float16 (at most 65504); store float32, got others in sample {sample}"
        )
    return half


def _is_finite(tokens: np.ndarray) -> bool:
    """Whether all values are finite; of float16 by their bits, as NumPy is slow at halves."""
    if tokens.dtype != np.float16:
        return bool(np.isfinite(tokens).all())
    bits = tokens.view(np.uint16)
    # Without the sign, the bits of halves are in the order of the halves.
    return bool((bits & np.uint16(_HALF_SIGN - 1)).max() < _HALF_EXPONENT)


def _check_spec(spec: WindowSpec) -> None:
    if min(spec.samples, spec.views, spec.length, spec.d_t) < 1:
        raise ValueError(f"samples, views, length and d_t must be >= 1, got {spec}")
    if spec.d_t > np.iinfo(np.int16).max:
        raise ValueError(f"d_t must be at most {np.iinfo(np.int16).max}, got {spec.d_t}")
    if spec.page_size > MAX_PAGE:
        raise ValueError(
            f"8 samples must fit {MAX_PAGE} bytes, got {spec.sample_bytes} bytes each "
            f"({spec.views} views of {spec.length} tokens of {spec.d_t}); cut views or length"
        )


def _check_integers(
    name: str, array: np.ndarray, shape: tuple[int, ...], low: int, high: int
) -> None:
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise ValueError(f"{name} must be integers {shape}, got {array.dtype} {array.shape}")
    if array.min() < low or array.max() > high:
        raise ValueError(f"{name} must lie in {low}..{high}, got {array.min()}..{array.max()}")


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield a new name beside `path` that is gone afterwards; say so when the disk is full."""
    written = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        yield written
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"no space left to write {path}; nothing was committed; free some and run again"
        ) from error
    finally:
        written.unlink(missing_ok=True)
        sidecar_path(written).unlink(missing_ok=True)


def _commit(written: Path, path: Path, sidecar: Sidecar) -> None:
    """Rename the synced file, then its sidecar: a sidecar never precedes its file."""
    note = sidecar_path(written)
    note.write_text(sidecar.to_json())
    _sync(note)
    sidecar_path(path).unlink(missing_ok=True)
    written.replace(path)
    _sync(path.parent)
    note.replace(sidecar_path(path))
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
