"""CIFAR-10 and CIFAR-100 in the binary version: records of labels and 3,072 bytes, no header.

CIFAR-100's records begin with the coarse label; the fine one, which follows, is used.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sane_core.images.archive import read_named
from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from schemas.errors import UserError

TRAIN_10 = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
LIMIT = 2**28
"""Bytes that the whole archive may have, unpacked."""

_IMAGE = 3 * 32 * 32


def read_cifar_binary(paths: Sequence[Path], classes: int) -> Published:
    """Read a folder or archive.

    Args:
        paths: The one folder or archive.
        classes: 10 or 100.

    Raises:
        UserError: If files are missing or damaged.
    """
    (source,) = paths
    train, test = (TRAIN_10, "test_batch.bin") if classes == 10 else (("train.bin",), "test.bin")
    files = read_named(source, (*train, test), LIMIT)
    return Published(
        _read_records(source, {name: files[name] for name in train}, classes),
        _read_records(source, {test: files[test]}, classes),
        classes,
    )


def _read_records(source: Path, files: dict[str, bytes], classes: int) -> Images:
    length = (1 if classes == 10 else 2) + _IMAGE
    pixels, labels = [], []
    for name, data in files.items():
        if not data or len(data) % length:
            raise UserError(
                f"{source / name} must hold whole records of {length} bytes, "
                f"got {len(data)} bytes; get the file again"
            )
        records = np.frombuffer(data, np.uint8).reshape(-1, length)
        pixels.append(records[:, -_IMAGE:])
        labels.append(check_labels(records[:, -_IMAGE - 1], classes, str(source / name)))
    return Images(
        np.concatenate(pixels).reshape(-1, 3, 32, 32), np.concatenate(labels), scale=1 / 255
    )
