"""No image lies in two parts: what is selected on must not be what is reported on.

Images are compared by their content, bit for bit; labels do not matter.
"""

import hashlib
from collections.abc import Mapping

import numpy as np

from sane_core.images.images import Images
from schemas.config.images import KNOWN


def shared_with(images: Images, others: Images) -> np.ndarray:
    """Return which images also lie among others, bool [images]; none where shapes differ."""
    if images.shape != others.shape:
        return np.zeros(len(images), bool)
    theirs = set(_digests(others))
    return np.array([digest in theirs for digest in _digests(images)], bool)


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


def _digests(images: Images) -> list[bytes]:
    if images.pixels.dtype == np.uint8:
        return [hashlib.sha256(np.asarray(each).tobytes()).digest() for each in images.pixels]
    scaled = (np.asarray(each, np.float64) * images.scale for each in images.pixels)
    return [hashlib.sha256(np.asarray(each).tobytes()).digest() for each in scaled]
