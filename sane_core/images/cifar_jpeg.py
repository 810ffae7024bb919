"""CIFAR-10 as JPEGs in one `.npz`: smaller, lossy, in another order than the original.

Arrays: `jpeg` (all files end to end), `offsets` (where each begins, and the end), `label`,
`is_test`. Networks trained on the original score lower on it, so it is a dataset of its own name.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sane_core.images.arrays import open_arrays
from sane_core.images.dataset import Published, check_labels
from sane_core.images.images import Images
from sane_core.images.pixels import decode
from sane_core.images.scratch import make_room
from schemas.errors import UserError

CLASSES = 10
SIDE = 32


def read_cifar_jpeg(paths: Sequence[Path], scratch: Path | None = None) -> Published:
    """Decode every image of the file.

    Args:
        paths: The one file.
        scratch: Folder whose disk holds the pixels; None = memory.

    Raises:
        UserError: If the file is damaged or its arrays do not belong together.
    """
    (path,) = paths
    arrays = open_arrays(path, ("jpeg", "offsets", "label", "is_test"))
    jpeg, offsets, test = arrays["jpeg"], arrays["offsets"], arrays["is_test"]
    _check(path, jpeg, offsets, arrays["label"], test)
    labels = check_labels(arrays["label"], CLASSES, str(path))
    data = jpeg.tobytes()
    parts = []
    for index in (np.flatnonzero(~test), np.flatnonzero(test)):
        pixels = make_room((len(index), 3, SIDE, SIDE), scratch=scratch)
        for place, number in enumerate(index):
            file = data[offsets[number] : offsets[number + 1]]
            pixels[place] = decode(file, f"image {number} of {path}", side=SIDE)
        parts.append(Images(pixels, labels[index], scale=1 / 255))
    return Published(parts[0], parts[1], CLASSES)


def _check(
    path: Path, jpeg: np.ndarray, offsets: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> None:
    count = len(labels)
    fits = (
        jpeg.dtype == np.uint8
        and offsets.dtype.kind == labels.dtype.kind.replace("u", "i") == "i"
        and test.dtype == bool
        and (offsets.shape, labels.shape, test.shape) == ((count + 1,), (count,), (count,))
        and jpeg.shape == (offsets[-1],)
        and bool((np.diff(offsets, prepend=0) >= 0).all())
    )
    if not fits:
        raise UserError(
            f"{path} must hold jpeg (bytes), offsets [images + 1] that rise to their end, "
            f"label and is_test [images]; get the file again"
        )
