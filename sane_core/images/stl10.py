"""STL-10's binary version: images stored column by column, classes from 1, no header.

The 100,000 unlabelled images are skipped.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sane_core.images.archive import read_named
from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from schemas.errors import UserError

CLASSES = 10
SIDE = 96
LIMIT = 2**32
"""Bytes that the whole archive may have, unpacked."""


def read_stl10(paths: Sequence[Path]) -> Published:
    """Read a folder or archive.

    Raises:
        UserError: If files are missing or damaged.
    """
    (source,) = paths
    names = [f"{part}_{kind}.bin" for part in ("train", "test") for kind in "Xy"]
    files = read_named(source, names, LIMIT)
    train, test = (_read_part(source, files, part) for part in ("train", "test"))
    return Published(train, test, CLASSES)


def _read_part(source: Path, files: dict[str, bytes], part: str) -> Images:
    data, labels = files[f"{part}_X.bin"], np.frombuffer(files[f"{part}_y.bin"], np.uint8)
    size = 3 * SIDE * SIDE
    if not len(labels) or len(data) != size * len(labels):
        raise UserError(
            f"{source}/{part}_X.bin must hold {size} bytes for each of the {len(labels)} labels of "
            f"{part}_y.bin, got {len(data)}; get the file again"
        )
    columns = np.frombuffer(data, np.uint8).reshape(-1, 3, SIDE, SIDE)
    return Images(
        np.ascontiguousarray(columns.swapaxes(2, 3)),
        check_labels(labels, CLASSES, f"{source}/{part}_y.bin", first=1),
        scale=1 / 255,
    )
