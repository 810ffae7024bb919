"""scikit-learn's 1,797 handwritten digits: 8x8 pixels of 0..16, built in, no official split."""

from importlib.metadata import version

import numpy as np

from sane_core.images.dataset import Published
from sane_core.images.images import Images


def read_digits() -> Published:
    """Return the digits: uint8 [1797, 1, 8, 8] of 0..16, and their labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = digits.images.astype(np.uint8)[:, None]
    return Published(Images(pixels, digits.target.astype(np.int64), scale=1 / 16), None, 10)


def digits_version() -> str:
    """Return what the digits depend on: they come with scikit-learn."""
    return f"digits of scikit-learn {version('scikit-learn')}"
