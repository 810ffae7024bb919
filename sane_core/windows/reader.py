"""Open window sets for training: by FFCV, or by numpy where FFCV cannot be installed.

All shards of one split of all sets are one row of windows with global indices: set by set, shard by
shard. Both readers give the same batches, bit for bit, in the order asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from sane_core.windows.batches import WindowBatch
from sane_core.windows.layout import WindowSpec
from sane_core.windows.sets import open_sets


class WindowReader(Protocol):
    """What training needs from window sets.

    Attributes:
        spec: What the samples look like; `samples` counts all of them, and positions are as wide
            as the widest.
        runs: int64 [S]: the run of each window, unique over the sets: those of set i begin at
            `first_runs[i]`.
        epochs: int64 [S]: the epoch of each window's checkpoint.
        sets: int64 [S]: which set each window is of.
        first_runs: int64 [sets]: `runs - first_runs[sets]` are the runs' numbers in their zoos.
    """

    spec: WindowSpec
    runs: np.ndarray
    epochs: np.ndarray
    sets: np.ndarray
    first_runs: np.ndarray

    def __len__(self) -> int:
        """Return the number of windows S."""
        ...

    def epoch_batches(self, batches: Sequence[np.ndarray]) -> Iterator[WindowBatch]:
        """Read one epoch.

        Args:
            batches: Window indices, int [<= B] each: exactly what is read, in this order (see
                `run_disjoint_batches`). A window may be read more than once.

        Returns:
            A batch per entry of `batches`.

        Raises:
            ValueError: `batches` is empty, or an index is out of range; raised at once.
        """
        ...


def open_windows(
    sets: Sequence[Path],
    split: str,
    reader: Literal["ffcv", "numpy"],
    *,
    d_t: int | None = None,
    length: int | None = None,
) -> WindowReader:
    """Verify a split of window sets and open it.

    Args:
        sets: The folder of each windows artifact, one per zoo.
        split: "train" or "validation".
        reader: Who reads them; only "ffcv" imports FFCV and numba.
        d_t: Values per token that the caller needs; None takes any.
        length: Window length in tokens that the caller needs; None takes any.

    Returns:
        The reader.

    Raises:
        DamagedWindows: A shard is missing, does not pass `verify_beton`, or is not the one that
            its set names.
        ValueError: There is no set, the sets differ in d_t, length, views or dtype, or the split is
            unknown.
        UserError: FFCV was asked for and cannot be imported.
    """
    shards = open_sets(sets, split, d_t=d_t, length=length)
    if reader == "numpy":
        from sane_core.windows.numpy_reader import NumpyReader

        return NumpyReader(shards)
    from sane_core.windows.ffcv_reader import FfcvReader

    return FfcvReader(shards)
