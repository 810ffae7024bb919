"""Memory for batches that is used again once nobody holds it.

Fresh memory costs more than what is copied into it: the system clears every page first.
"""

import sys

import numpy as np

_UNUSED = 3
"""References to a buffer that only the list, the loop and the count itself know."""


class Buffers:
    """Gives out arrays; one that is still held, or any view of it, is never given out again."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[int, ...], str], list[np.ndarray]] = {}

    def empty(self, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        """Return an array of any content."""
        known = self._known.setdefault((shape, np.dtype(dtype).str), [])
        for buffer in known:
            if sys.getrefcount(buffer) == _UNUSED:
                return buffer
        known.append(np.empty(shape, dtype))
        return known[-1]
