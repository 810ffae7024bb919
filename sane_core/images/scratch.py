"""Room for decoded pixels, in memory or in a file without a name.

A file without a name is gone with the array, whatever ends the process.
"""

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt


def make_room(
    shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8, scratch: Path | None = None
) -> np.ndarray:
    """Return an array to be filled.

    Args:
        shape: Of the array.
        dtype: Of the array.
        scratch: Folder whose disk holds the array (a memory map); None = memory.

    Raises:
        OSError: If the disk has no room; it is taken at once, so that filling never fails.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if scratch is None or size == 0:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=scratch) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype, mode="r+", shape=shape)
