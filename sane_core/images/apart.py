"""No image lies in two parts: what is selected on must not be what is reported on.

Images are compared by their content, bit for bit; labels do not matter.
"""

import hashlib

import numpy as np

from sane_core.images.images import Images


def shared_with(images: Images, others: Images) -> np.ndarray:
    """Return which images also lie among others, bool [images]."""
    theirs = set(_digests(others))
    return np.array([digest in theirs for digest in _digests(images)], bool)


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
