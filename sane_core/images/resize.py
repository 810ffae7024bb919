"""Bring images to one channel and to another size, block by block.

A whole number of pixels becomes one by its average (area averaging); every other size is Pillow's
bilinear filter, which averages over the pixels it skips (antialiasing). Bytes stay bytes, rounded
to the nearest.
"""

from pathlib import Path

import numpy as np

from sane_core.images.images import Images, Index
from sane_core.images.scratch import make_room

BLOCK = 512
"""Images at a time."""

_LUMA = (0.299, 0.587, 0.114)
_LUMA_16 = (19595, 38470, 7471)  # the same in units of 1/65536; they add up to 65536


def convert(
    images: Images,
    index: Index,
    size: int | None = None,
    grey: bool = False,
    scratch: Path | None = None,
) -> Images:
    """Return the chosen images in another shape; as they are, without `size` and `grey`.

    Args:
        images: What there is.
        index: Which images, in which order.
        size: Height and width in pixels; None = as they are.
        grey: Whether to bring three channels to one, before anything else.
        scratch: Folder whose disk holds the result; None = memory.

    Raises:
        ValueError: If `grey` is asked of other than one or three channels.
    """
    order = np.arange(len(images))[index]
    channels, height, width = images.shape
    shape = (1 if grey else channels, size or height, size or width)
    pixels = make_room((len(order), *shape), images.pixels.dtype, scratch)
    for start in range(0, len(order), BLOCK):
        block = np.asarray(images.pixels[order[start : start + BLOCK]])
        if grey:
            block = to_grey(block)
        if size is not None:
            block = resize(block, size)
        pixels[start : start + BLOCK] = block
    mean, std = (images.mean, images.std) if shape == images.shape else ((), ())
    return Images(pixels, images.labels[order], images.scale, mean, std)


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return the luma of ITU-R 601, `0.299 red + 0.587 green + 0.114 blue`.

    Args:
        pixels: [images, 3 or 1, height, width]; one channel stays as it is.

    Returns:
        [images, 1, height, width] of the same type.

    Raises:
        ValueError: If there are other than one or three channels.
    """
    if pixels.shape[1] == 1:
        return pixels
    if pixels.shape[1] != 3:
        raise ValueError(f"grey needs images of 1 or 3 channels, got {pixels.shape[1]}")
    if pixels.dtype != np.uint8:
        return np.einsum("nchw,c->nhw", pixels, np.array(_LUMA, pixels.dtype))[:, None]
    weighted = sum(pixels[:, c].astype(np.uint32) * weight for c, weight in enumerate(_LUMA_16))
    return ((np.asarray(weighted) + 2**15) >> 16).astype(np.uint8)[:, None]


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return images of `size` x `size` pixels.

    Args:
        pixels: [images, channels, height, width].
        size: Height and width of the result.

    Returns:
        [images, channels, size, size] of the same type.
    """
    _, _, height, width = pixels.shape
    if (height, width) == (size, size):
        return pixels
    if height % size == 0 and width % size == 0:
        return _average(pixels, size)
    return _interpolate(pixels, size)


def _average(pixels: np.ndarray, size: int) -> np.ndarray:
    images, channels, height, width = pixels.shape
    tall, wide = height // size, width // size
    cells = pixels.reshape(images, channels, size, tall, size, wide)
    if pixels.dtype != np.uint8:
        return cells.mean((3, 5)).astype(pixels.dtype)
    area = tall * wide
    return ((cells.sum((3, 5), dtype=np.uint64) + area // 2) // area).astype(np.uint8)


def _interpolate(pixels: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    planes = pixels.reshape(-1, *pixels.shape[2:])
    if pixels.dtype == np.float64:
        planes = planes.astype(np.float32)
    resized = [
        np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
        for plane in planes
    ]
    shape = (*pixels.shape[:2], size, size)
    return np.array(resized, planes.dtype).reshape(shape).astype(pixels.dtype)
