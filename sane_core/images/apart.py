"""No image lies in two parts: what is selected on must not be what is reported on.

Images are compared by their content; labels do not matter. Bytes are compared bit for bit. Where
either part has floats, pixels are scaled and rounded to 1e-4 first, so that an image is found
again as bytes, float32 and float64: no x/255 lies within float32's precision of where rounding
turns, and no two of them become one number.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from sane_core.images.images import Images
from schemas.config.images import KNOWN


def shared_with(images: Images, others: Images) -> np.ndarray:
    """Return which images also lie among others, bool [images]; none where shapes differ.

    Args:
        images: Bytes or floats.
        others: Bytes or floats, whatever the images are.
    """
    if images.shape != others.shape:
        return np.zeros(len(images), bool)
    content = _bytes if images.pixels.dtype == others.pixels.dtype == np.uint8 else _rounded
    theirs = set(_digests(content(others)))
    return np.array([digest in theirs for digest in _digests(content(images))], bool)


def selected_on(parts: Mapping[str, Images], name: str) -> Images:
    """Return the validation images, none of which is a test image.

    What a publisher has put into both parts of a known dataset is left out; for other data it is
    an error, which only their owner can mend.

    Args:
        parts: `validation` and `test`.
        name: The dataset.

    Raises:
        ValueError: If an image of unknown data lies in both.
    """
    validation, test = parts["validation"], parts["test"]
    if name not in KNOWN:
        check_apart(validation, test, name)
        return validation
    shared = shared_with(validation, test)
    return validation.take(~shared) if shared.any() else validation


def check_apart(validation: Images, test: Images, name: str) -> None:
    """Refuse validation images that are test images.

    Args:
        validation: What everything is selected on.
        test: What is reported.
        name: The data, for the message.

    Raises:
        ValueError: If an image lies in both.
    """
    shared = int(shared_with(validation, test).sum())
    if shared:
        raise ValueError(
            f"no image may be selected and reported on, but {shared} of the {len(validation)} "
            f"validation images of {name} are test images; take them out of one of the two"
        )


def _bytes(images: Images) -> Iterator[np.ndarray]:
    return (np.asarray(each) for each in images.pixels)


def _rounded(images: Images) -> Iterator[np.ndarray]:
    scaled = (np.asarray(each, np.float64) * images.scale for each in images.pixels)
    return (np.rint(each * 1e4).astype(np.int32) for each in scaled)


def _digests(contents: Iterator[np.ndarray]) -> Iterator[bytes]:
    return (hashlib.sha256(each.tobytes()).digest() for each in contents)
