"""CIFAR-10 and CIFAR-100 in the Python version: pickles, read without running them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sane_core.images.archive import read_named
from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from sane_core.images.unpickle import unpickle
from schemas.errors import UserError

TRAIN_10 = tuple(f"data_batch_{number}" for number in range(1, 6))
LIMIT = 2**28
"""Bytes that the whole archive may have, unpacked."""


def read_cifar_python(paths: Sequence[Path], classes: int) -> Published:
    """Read a folder or archive.

    Args:
        paths: The one folder or archive.
        classes: 10 or 100 (the fine labels).

    Raises:
        UserError: If files are missing, damaged, or hold more than data.
    """
    (source,) = paths
    train, test = (TRAIN_10, "test_batch") if classes == 10 else (("train",), "test")
    files = read_named(source, (*train, test), LIMIT)
    batches = [_read_batch(source / name, files[name], classes) for name in train]
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return Published(
        Images(pixels, labels, scale=1 / 255),
        Images(*_read_batch(source / test, files[test], classes), scale=1 / 255),
        classes,
    )


def _read_batch(path: Path, data: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [images, 3, 32, 32] and int64 [images]."""
    batch = unpickle(data, str(path))
    key = "labels" if classes == 10 else "fine_labels"
    pixels, labels = (_entry(batch, name) for name in ("data", key))
    if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (3072,):
        raise UserError(f"{path} must hold data [images, 3072] of bytes; get the file again")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise UserError(f"{path} must hold {key}, a list of whole numbers; get the file again")
    if len(labels) != len(pixels):
        raise UserError(
            f"{path} must hold a label for each of its {len(pixels)} images, got {len(labels)}; "
            "get the file again"
        )
    clipped = np.array([min(max(label, -1), classes) for label in labels], np.int64)
    return pixels.reshape(-1, 3, 32, 32), check_labels(clipped, classes, str(path))


def _entry(batch: object, name: str) -> object:
    """Return an entry whose key is text, or bytes as Python 2 wrote it."""
    return batch.get(name, batch.get(name.encode())) if isinstance(batch, dict) else None
