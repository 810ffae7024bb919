"""Mean and standard deviation per channel, measured exactly and in one pass over bytes.

Bytes have 256 values, so counting them gives both numbers without rounding on the way.
"""

import numpy as np

from sane_core.images.images import Images

BLOCK = 4096
"""Images at a time."""


def measure(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, of pixels scaled to [0, 1].

    A channel that is the same everywhere has the deviation 1, so that dividing by it is harmless.

    Args:
        images: At least one.
    """
    channels = range(images.shape[0])
    pairs = [_measure(images, channel) for channel in channels]
    return tuple(mean for mean, _ in pairs), tuple(std or 1.0 for _, std in pairs)


def _measure(images: Images, channel: int) -> tuple[float, float]:
    if images.pixels.dtype == np.uint8:
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), BLOCK):
            plane = images.pixels[start : start + BLOCK, channel]
            counts += np.bincount(plane.ravel(), minlength=256)
        values = np.arange(256) * images.scale
        mean = float((values * counts).sum() / counts.sum())
        return mean, float(np.sqrt((np.square(values - mean) * counts).sum() / counts.sum()))
    plane = images.pixels[:, channel] * np.float64(images.scale)
    return float(plane.mean()), float(plane.std())
