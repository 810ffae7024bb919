"""Decode one JPEG or PNG with Pillow: bytes in, uint8 [channels, height, width] out.

The size is looked at before a pixel is decoded, so a small file cannot ask for much memory.
"""

import io

import numpy as np

from schemas.errors import UserError

MAX_PIXELS = 4096 * 4096
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")


def decode(data: bytes, source: str, colour: bool = True, side: int | None = None) -> np.ndarray:
    """Decode an image.

    Args:
        data: Content of a JPEG or PNG file.
        source: Its name, for the sentence of an error.
        colour: Whether to return three channels (grey images are repeated), or else one.
        side: Height and width that it must have; None = any.

    Returns:
        uint8 [3 or 1, height, width].

    Raises:
        UserError: If it is no such image.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if side is not None and (width, height) != (side, side):
                raise UserError(f"{source} must have {side}x{side} pixels, got {width}x{height}")
            if width * height > MAX_PIXELS or image.mode not in _MODES:
                raise UserError(
                    f"{source} must be grey or colour of 8 bits per channel and at most "
                    f"{MAX_PIXELS} pixels, got mode {image.mode} and {width}x{height}"
                )
            pixels = np.asarray(image.convert("RGB" if colour else "L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{source} must be a JPEG or PNG image, got {error}; get the file again"
        ) from error
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def look(data: bytes, source: str) -> tuple[int, int, bool]:
    """Return height, width and whether there is colour, from the header alone.

    Raises:
        UserError: If it is no JPEG or PNG.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            return image.height, image.width, image.mode not in ("1", "L", "LA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{source} must be a JPEG or PNG image, got {error}; get the file again"
        ) from error
