"""Image data of one's own as arrays: `npz:PATH`.

Either `x_train, y_train, x_test, y_test`, or `pixels, labels` and perhaps `test_pixels,
test_labels`. Images are bytes, or float32 or float64 in [0, 1]; the channels are the axis of size
1 or 3. Where both axes could be, an array `layout` holding NCHW or NHWC decides.
"""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from schemas.errors import UserError

_KERAS = ("x_train", "y_train", "x_test", "y_test")
_OURS = ("pixels", "labels", "test_pixels", "test_labels")
_LARGEST = 2**37


def read_npz(path: Path) -> Published:
    """Read a `.npz` of images and labels.

    Raises:
        UserError: If arrays are missing, damaged, or not images and labels.
    """
    arrays = open_arrays(path)
    names = _KERAS if "x_train" in arrays else _OURS
    if not set(names[:2]) <= set(arrays):
        raise UserError(
            f"{path} must hold x_train and y_train, or pixels and labels, "
            f"got {', '.join(arrays) or 'nothing'}"
        )
    labels = _whole(path, arrays[names[1]])
    classes = int(labels.max(initial=0)) + 1
    layout = str(arrays["layout"]) if "layout" in arrays else None
    train = _images(path, names[0], arrays[names[0]], labels, classes, layout)
    if names[2] not in arrays:
        return Published(train, None, classes)
    if names[3] not in arrays:
        raise UserError(f"{path} must hold {names[3]} beside {names[2]}")
    labels = _whole(path, arrays[names[3]])
    return Published(
        train, _images(path, names[2], arrays[names[2]], labels, classes, layout), classes
    )


def open_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Read arrays of a `.npz`; none may claim more than its file in the archive holds.

    Args:
        path: The file.
        names: Arrays to read, all of which must be there; None = every one.

    Raises:
        UserError: If it is damaged, or an array is missing or holds Python objects.
    """
    try:
        _check_claims(path)
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in names or () if name not in arrays.files]
            if missing:
                raise UserError(f"{path} must hold {', '.join(missing)}; get the file again")
            return {name: arrays[name] for name in names or arrays.files}
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile meet damage with many kinds
        raise UserError(
            f"{path} must be an .npz of plain arrays, got {error}; get the file again"
        ) from error


def _check_claims(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(file)
                claimed = file.tell() + math.prod(shape) * dtype.itemsize
            if claimed != info.file_size or claimed > _LARGEST:
                raise ValueError(
                    f"{info.filename} of {info.file_size} bytes, whose header claims {claimed}"
                )


def _images(
    path: Path,
    name: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    classes: int,
    layout: str | None,
) -> Images:
    pixels = channels_first(pixels, f"{name} of {path}", layout)
    if len(pixels) != len(labels):
        raise UserError(
            f"{path} must hold a label for each of the {len(pixels)} images of {name}, "
            f"got {len(labels)}"
        )
    scale = 1 / 255 if pixels.dtype == np.uint8 else 1.0
    if pixels.dtype != np.uint8 and not (
        pixels.dtype in (np.float32, np.float64) and ((pixels >= 0) & (pixels <= 1)).all()
    ):
        raise UserError(
            f"{name} of {path} must be bytes, or float32 or float64 in [0, 1], got {pixels.dtype} "
            f"from {pixels.min()} to {pixels.max()}"
        )
    return Images(pixels, check_labels(labels, classes, str(path)), scale)


def channels_first(pixels: np.ndarray, source: str, layout: str | None = None) -> np.ndarray:
    """Return images as [images, channels, height, width].

    Args:
        pixels: [images, height, width], or also with channels, first or last.
        source: What they are, for the sentence of an error.
        layout: "NCHW" or "NHWC"; None = the channels are the one axis of size 1 or 3.

    Raises:
        UserError: If it cannot be told which axis holds the channels.
    """
    if pixels.ndim == 3:
        return pixels[:, None]
    if pixels.ndim != 4 or not len(pixels):
        raise UserError(
            f"{source} must be [images, height, width] with or without channels, "
            f"got {list(pixels.shape)}"
        )
    first, last = (pixels.shape[axis] in (1, 3) for axis in (1, 3))
    if layout is None and first != last:
        layout = "NCHW" if first else "NHWC"
    if layout not in ("NCHW", "NHWC"):
        raise UserError(
            f"{source} must have 1 or 3 channels on either the second or the last axis, "
            f"got {list(pixels.shape)}; add an array `layout` that holds NCHW or NHWC"
        )
    return pixels if layout == "NCHW" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _whole(path: Path, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"labels of {path} must be whole numbers [images], "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    return labels
