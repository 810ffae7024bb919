"""Which images stand in two parts: found by the hash of their content, never by their place."""

from hashlib import blake2b

import numpy as np

from sane_core.images.images import Images


def shared_images(first: Images, second: Images) -> np.ndarray:
    """Find images that both hold, pixel by pixel.

    Args:
        first: Images.
        second: Images; of another shape or another type of pixel none is shared.

    Returns:
        int64 [shared, 2]: the number of each in `first` and of an equal one in `second`.
    """
    if first.shape != second.shape or first.pixels.dtype != second.pixels.dtype:
        return np.empty((0, 2), np.int64)
    places = {_digest(pixels): i for i, pixels in enumerate(second.pixels)}
    pairs = [
        (i, places[digest])
        for i, digest in enumerate(map(_digest, first.pixels))
        if digest in places
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def refuse_overlap(validation: Images, test: Images) -> None:
    """Make sure that what is selected on is not what is reported.

    Args:
        validation: What networks are selected on.
        test: What they are tested on.

    Raises:
        ValueError: If an image is in both.
    """
    shared = shared_images(validation, test)
    if len(shared):
        i, j = shared[0].tolist()
        raise ValueError(
            f"validation images must not be test images, got {len(shared)} of {len(validation)} "
            f"that are (validation image {i} is test image {j}); take them out of one of both"
        )


def _digest(pixels: np.ndarray) -> bytes:
    return blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
