"""SVHN's cropped digits: MATLAB files whose images are the last axis and whose zero is class 10."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from schemas.errors import UserError

CLASSES = 10
_MOST = 10**6


def read_svhn(paths: Sequence[Path]) -> Published:
    """Read the two .mat files, train and test.

    Raises:
        UserError: If a file is damaged or holds something else.
    """
    train, test = (_read_mat(path) for path in paths)
    return Published(train, test, CLASSES)


def _read_mat(path: Path) -> Images:
    from scipy.io import loadmat, whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
        _check_shapes(path, shapes.get("X", ()), shapes.get("y", ()))
        arrays = loadmat(path, variable_names=["X", "y"])
        pixels, labels = arrays["X"], arrays["y"][:, 0]
    except UserError:
        raise
    except Exception as error:  # scipy meets damage with whatever its parser stumbles over
        raise UserError(
            f"{path} must be a MATLAB file of version 5, got {error}; get the file again"
        ) from error
    if pixels.dtype != np.uint8:
        raise UserError(f"{path} must hold bytes as X, got {pixels.dtype}; get the file again")
    labels = check_labels(labels, CLASSES, str(path), first=1)
    return Images(
        np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), (labels + 1) % CLASSES, scale=1 / 255
    )


def _check_shapes(path: Path, pixels: tuple[int, ...], labels: tuple[int, ...]) -> None:
    count = pixels[-1] if pixels else 0
    if pixels != (32, 32, 3, count) or labels != (count, 1) or count > _MOST:
        raise UserError(
            f"{path} must hold X [32, 32, 3, images] and y [images, 1], "
            f"got {list(pixels)} and {list(labels)}; get the file again"
        )
