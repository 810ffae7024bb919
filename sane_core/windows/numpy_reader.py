"""Read a `.beton` through a memory map: the fallback without FFCV, and the oracle of its tests."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from sane_core.windows.batches import WindowBatch, check_batches
from sane_core.windows.beton import verify_beton
from sane_core.windows.layout import read_rows


class NumpyReader:
    """A `WindowReader` on numpy alone.

    Args:
        path: The `.beton`; it is verified here.
        d_t: Values per token that the caller needs; None takes any.
        length: Window length in tokens that the caller needs; None takes any.

    Raises:
        DamagedWindows: The set does not pass `verify_beton`.
    """

    def __init__(self, path: Path, *, d_t: int | None = None, length: int | None = None) -> None:
        self.spec = verify_beton(path, d_t=d_t, length=length).spec
        self._rows = read_rows(path, self.spec)
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self.runs = self._rows["run"].astype(np.int64)
        self.epochs = self._rows["epoch"].astype(np.int64)

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.spec.samples

    def epoch_batches(self, batches: Sequence[np.ndarray]) -> Iterator[WindowBatch]:
        """Read one epoch; see `WindowReader.epoch_batches`."""
        return map(self._batch, check_batches(batches, len(self)))

    def _batch(self, indices: np.ndarray) -> WindowBatch:
        tokens = self._gather("tokens", indices)
        if self.spec.dtype == "float16":
            tokens = tokens.view(np.float16)
        return WindowBatch(
            tokens=torch.from_numpy(tokens),
            positions=torch.from_numpy(self._gather("positions", indices).astype(np.int64)),
            lengths=torch.from_numpy(self._gather("lengths", indices).astype(np.int64)),
            runs=torch.from_numpy(self.runs[indices]),
            epochs=torch.from_numpy(self.epochs[indices]),
        )

    def _gather(self, name: str, indices: np.ndarray) -> np.ndarray:
        field = self.spec.arrays[name]
        # By bytes, as FFCV aligns arrays to nothing.
        gathered = np.empty((len(indices), field.size), dtype=np.uint8)
        for place, start in enumerate(self._rows[name][indices].tolist()):
            gathered[place] = self._bytes[start : start + field.size]
        return gathered.view(field.dtype).reshape(len(indices), *field.shape)
