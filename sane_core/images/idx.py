"""The idx format of MNIST and Fashion-MNIST: a header of big-endian sizes, then bytes.

A header is believed only as far as the file can bear it out: memory is taken after the claimed
size was held against the file's, and no more is unpacked than was claimed.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from schemas.errors import UserError

_UINT8 = 0x08
_MAX_RATIO = 1040  # deflate packs at most about 1032 bytes into one


def read_idx_pairs(paths: Sequence[Path], classes: int) -> Published:
    """Read a dataset of four idx files.

    Args:
        paths: Training images and labels, test images and labels; raw or .gz.
        classes: Number of classes.

    Raises:
        UserError: If a file is damaged or does not belong to the others.
    """
    train, test = (_read_pair(images, labels, classes) for images, labels in (paths[:2], paths[2:]))
    return Published(train, test, classes)


def _read_pair(images: Path, labels: Path, classes: int) -> Images:
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers):
        raise UserError(
            f"{labels} must hold a label for each of the {len(pixels)} images of {images}, "
            f"got {len(numbers)}; get both files again"
        )
    return Images(pixels[:, None], check_labels(numbers, classes, str(labels)), scale=1 / 255)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one idx file of bytes.

    Args:
        path: Raw, or gzip by its first bytes.
        dimensions: 3 for images, 1 for labels.

    Returns:
        uint8 of the sizes that the header names.

    Raises:
        UserError: If the file is not that, is truncated, goes on beyond its end, or claims more
            than it can hold.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            length = path.stat().st_size
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _read(unpacked, path, dimensions, length * _MAX_RATIO)  # type: ignore[arg-type]
            return _read(file, path, dimensions, length)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}; get the file again") from error


def _read(file: IO[bytes], path: Path, dimensions: int, most: int) -> np.ndarray:
    """Read header and bytes; `most` is what a file of this length can hold."""
    header = file.read(4 + 4 * dimensions)
    magic = bytes([0, 0, _UINT8, dimensions])
    if header[:4] != magic or len(header) < 4 + 4 * dimensions:
        raise UserError(
            f"{path} must begin with the idx header {magic.hex()} and {dimensions} sizes, "
            f"got {header.hex() or 'nothing'}; get the file again"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = math.prod(shape)
    if size > most:
        raise UserError(
            f"{path} must hold the {size} bytes that its header claims, "
            f"but a file of its length holds at most {most}; get the file again"
        )
    values = np.empty(size, np.uint8)
    view, filled = values.data, 0
    while filled < size and (count := file.readinto(view[filled:])):  # type: ignore[attr-defined]
        filled += count
    if filled < size or file.read(1):
        found = f"{filled}" if filled < size else "more"
        raise UserError(
            f"{path} must hold the {size} bytes that its header claims, got {found}; "
            "get the file again"
        )
    return values.reshape(shape)
