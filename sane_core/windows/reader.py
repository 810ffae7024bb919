"""Open a window set for training: by FFCV, or by numpy where FFCV cannot be installed.

Both readers give the same batches, bit for bit, in the order asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from sane_core.windows.batches import WindowBatch
from sane_core.windows.layout import WindowSpec


class WindowReader(Protocol):
    """What training needs from a window set.

    Attributes:
        spec: What the samples look like.
        runs: int64 [S]: the run of each window.
        epochs: int64 [S]: the epoch of each window's checkpoint.
    """

    spec: WindowSpec
    runs: np.ndarray
    epochs: np.ndarray

    def __len__(self) -> int:
        """Return the number of windows S."""
        ...

    def epoch_batches(self, batches: Sequence[np.ndarray]) -> Iterator[WindowBatch]:
        """Read one epoch.

        Args:
            batches: Window indices, int [<= B] each: exactly what is read, in this order (see
                `run_disjoint_batches`).

        Returns:
            A batch per entry of `batches`.

        Raises:
            ValueError: `batches` is empty, or an index is out of range; raised at once.
        """
        ...


def open_windows(
    path: Path,
    reader: Literal["ffcv", "numpy"],
    *,
    d_t: int | None = None,
    length: int | None = None,
) -> WindowReader:
    """Verify the `.beton` at `path` and open it.

    Args:
        path: The `.beton`.
        reader: Who reads it; only "ffcv" imports FFCV and numba.
        d_t: Values per token that the caller needs; None takes any.
        length: Window length in tokens that the caller needs; None takes any.

    Returns:
        The reader.

    Raises:
        DamagedWindows: The set does not pass `verify_beton`.
        UserError: FFCV was asked for and cannot be imported.
    """
    if reader == "numpy":
        from sane_core.windows.numpy_reader import NumpyReader

        return NumpyReader(path, d_t=d_t, length=length)
    from sane_core.windows.ffcv_reader import FfcvReader

    return FfcvReader(path, d_t=d_t, length=length)
