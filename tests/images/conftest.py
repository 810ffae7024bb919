"""Small files in every published format, and the real data where it lies beside the checkout."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def real() -> Path:
    """The folder of real data; skips where there is none."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    return root


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def _image(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def _tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def _tree(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.fixture
def idx() -> Callable[[np.ndarray], bytes]:
    """Bytes of an idx file."""
    return _idx


@pytest.fixture
def image() -> Callable[..., bytes]:
    """Bytes of a PNG or JPEG."""
    return _image


@pytest.fixture
def tar() -> Callable[..., Path]:
    """Write a tar of files by name."""
    return _tar


@pytest.fixture
def pack() -> dict[str, Callable[[Path, dict[str, bytes]], Path]]:
    """Ways to pack files by name: a folder, a .tar, a .tar.gz, a .zip."""
    return {
        "folder": _tree,
        "tar": _tar,
        "tar.gz": lambda path, files: _tar(path, files, "w:gz"),
        "zip": _zip,
    }


@pytest.fixture
def gz() -> Callable[[bytes], bytes]:
    return lambda data: gzip.compress(data, mtime=0)
