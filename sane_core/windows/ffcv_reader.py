"""Read a `.beton` with FFCV (the one module that imports it to read), made safe to use.

FFCV's loader runs in a thread. Left alone, it changes the number of torch's threads, hands out
buffers that it reuses, waits for ever for a thread that has died, and leaves out short epochs
without a word. Here the loader is built (and compiled) once, each epoch brings its own batches,
what is handed out is a copy, and the thread is watched, and joined at the end.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import torch

from sane_core.windows.batches import WindowBatch, check_batches
from sane_core.windows.beton import verify_beton
from sane_core.windows.layout import read_rows
from schemas.errors import SaneError, UserError

POLL_SECONDS = 0.5
STALL_SECONDS = 300.0
BATCHES_AHEAD = 3


class FfcvReader:
    """A `WindowReader` on FFCV.

    Args:
        path: The `.beton`; it is verified here.
        d_t: Values per token that the caller needs; None takes any.
        length: Window length in tokens that the caller needs; None takes any.
        workers: Threads of the loader. FFCV decodes arrays in one thread whatever this says, so
            the default is one.

    Raises:
        DamagedWindows: The set does not pass `verify_beton`.
        UserError: FFCV cannot be imported.
        ValueError: `workers` is not in 1..number of CPUs.
    """

    def __init__(
        self,
        path: Path,
        *,
        d_t: int | None = None,
        length: int | None = None,
        workers: int = 1,
    ) -> None:
        self.spec = verify_beton(path, d_t=d_t, length=length).spec
        rows = read_rows(path, self.spec)
        self.runs = rows["run"].astype(np.int64)
        self.epochs = rows["epoch"].astype(np.int64)
        self._loader = _build_loader(path, workers)

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.spec.samples

    def epoch_batches(self, batches: Sequence[np.ndarray]) -> Iterator[WindowBatch]:
        """Read one epoch; see `WindowReader.epoch_batches`.

        Raises:
            SaneError: While iterating, if the loader's thread has died or delivers nothing.
        """
        return self._read(check_batches(batches, len(self)))

    def _read(self, batches: list[np.ndarray]) -> Iterator[WindowBatch]:
        from ffcv.loader.epoch_iterator import EpochIterator

        # Batches are padded to one size with a window of their own: FFCV knows but one size.
        # FFCV's own `iter(loader)` would cut later epochs to the length of the first.
        size = max(map(len, batches))
        padded = [np.pad(indices, (0, size - len(indices)), mode="edge") for indices in batches]
        self._loader.batch_size = size
        threads = torch.get_num_threads()
        with _threads_restored():
            thread = EpochIterator(self._loader, np.concatenate(padded).astype(np.uint64))
        try:
            for number, indices in enumerate(batches):
                fields = _next_fields(thread)
                if number == 0:
                    # The loader's thread sets torch's threads, too, before its first batch.
                    torch.set_num_threads(threads)
                yield self._batch(fields, len(indices))
        finally:
            _join(thread)

    def _batch(self, buffers: Sequence[torch.Tensor], size: int) -> WindowBatch:
        # Copied by numpy: torch's threads and the loader's, on the same CPUs, take 25 times longer.
        tokens, positions, lengths, runs, epochs = (field.numpy()[:size] for field in buffers)
        if self.spec.dtype == "float16":
            tokens = tokens.view(np.float16)
        return WindowBatch(
            tokens=torch.from_numpy(tokens.copy()),
            positions=torch.from_numpy(positions.astype(np.int64)),
            lengths=torch.from_numpy(lengths.astype(np.int64)),
            runs=torch.from_numpy(runs.reshape(-1).copy()),
            epochs=torch.from_numpy(epochs.reshape(-1).copy()),
        )


def _build_loader(path: Path, workers: int) -> Any:
    """Return FFCV's loader of `path`; its batch size is set for each epoch."""
    processors = len(os.sched_getaffinity(0))
    if not 1 <= workers <= processors:
        raise ValueError(f"workers must lie in 1..{processors}, the CPUs, got {workers}")
    with _threads_restored():
        from ffcv.loader import Loader, OrderOption

        return Loader(
            str(path),
            batch_size=1,
            num_workers=workers,
            os_cache=True,
            order=OrderOption.SEQUENTIAL,
            seed=0,
            drop_last=False,
            batches_ahead=BATCHES_AHEAD,
        )


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Keep the thread counts of torch and numba, which FFCV sets, even when it is imported."""
    torch_threads = torch.get_num_threads()
    numba_threads = None
    try:
        try:
            import numba

            numba_threads = numba.get_num_threads()
            import ffcv  # noqa: F401  (here, so that its absence has one message)
        except ImportError as error:
            raise UserError(
                f"ffcv cannot be imported ({error}); install it, or set windows.reader to numpy"
            ) from error
        yield
    finally:
        torch.set_num_threads(torch_threads)
        if numba_threads is not None:
            numba.set_num_threads(numba_threads)


def _next_fields(thread: Any) -> Sequence[torch.Tensor]:
    """Return the next batch of FFCV's thread as it is in its buffers, or say that it has died."""
    deadline = time.monotonic() + STALL_SECONDS
    while time.monotonic() < deadline:
        alive = thread.is_alive()
        with suppress(Empty):
            item = thread.output_queue.get(timeout=POLL_SECONDS if alive else 0.0)
            if item is None:
                raise SaneError("ffcv's loader ended before the epoch did; run again")
            fields: Sequence[torch.Tensor] = item[1]
            return fields
        if not alive:
            raise SaneError(
                "ffcv's loader thread died (its traceback stands above); run again, or set "
                "windows.reader to numpy"
            )
    raise SaneError(
        f"ffcv's loader gave no batch for {STALL_SECONDS:g} s; run again, or set windows.reader "
        f"to numpy"
    )


def _join(thread: Any) -> None:
    """End FFCV's thread: give it no further batches, and room to put the last ones."""
    thread.iter_ixes = iter(())
    thread.close()
    deadline = time.monotonic() + STALL_SECONDS
    while thread.is_alive() and time.monotonic() < deadline:
        with suppress(Empty):
            while True:
                thread.output_queue.get_nowait()
        thread.join(timeout=0.01)
