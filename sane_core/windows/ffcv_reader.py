"""Read `.beton` files with FFCV (the one module that imports it to read), made safe to use.

Of FFCV this takes the reader of the file, the memory manager and the compiled decoders, and calls
them where a batch is wanted: they write straight into the batch, whatever shards its windows are
in. FFCV's own loader does the same in a thread of its own, into buffers that it reuses. That thread
changes the number of torch's threads and is waited for in vain when it has died, and what it hands
over must be copied, which was measured three times as slow. Reading ahead is `ahead`'s.

FFCV believes every address in a file; only files that `verify_beton` has passed come here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from sane_core.windows.batches import WindowBatch, check_batches
from sane_core.windows.layout import WindowSpec
from sane_core.windows.sets import OpenSets, Shard, by_shard
from schemas.errors import UserError

Decode = Callable[[np.ndarray, np.ndarray, np.ndarray, Any], object]
"""FFCV's compiled decoder: (places, array to write into, addresses by place, mapped file)."""


class FfcvReader:
    """A `WindowReader` on FFCV.

    Args:
        windows: What to read, verified.

    Raises:
        UserError: FFCV cannot be imported.
    """

    def __init__(self, windows: OpenSets) -> None:
        self.spec = windows.spec
        self.runs, self.epochs, self.sets = windows.runs, windows.epochs, windows.sets
        self.first_runs = windows.first_runs
        self._windows = windows
        with _threads_restored():
            self._files = _open_files(windows.shards)

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.spec.samples

    def epoch_batches(self, batches: Sequence[np.ndarray]) -> Iterator[WindowBatch]:
        """Read one epoch; see `WindowReader.epoch_batches`."""
        checked = check_batches(batches, len(self))
        return (self._batch(*located) for located in self._windows.located(checked))

    def _batch(self, indices: np.ndarray, shards: np.ndarray, places: np.ndarray) -> WindowBatch:
        batch = self._windows.empty(len(indices))
        field = self.spec.arrays["tokens"]
        tokens = batch["tokens"].view(field.dtype).reshape(len(indices), *field.shape)
        places = places.astype(np.uint64)
        for shard, own in by_shard(shards):
            for name in ("positions", "lengths"):
                batch[name][own] = self._files[shard].read(name, places[own])
        # Straight into the batch, so by windows next to each other: nothing is copied again.
        ends = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
        for start, stop in pairwise(ends):
            self._files[shards[start]].decode("tokens", places[start:stop], tokens[start:stop])
        return self._windows.batch(indices, **batch)


@dataclass(frozen=True)
class _File:
    """An open `.beton`.

    Attributes:
        spec: What its samples look like.
        decoders: By field.
        addresses: By field, uint64 [S].
        mapped: The file and its table of allocations, as FFCV's decoders take them.
    """

    spec: WindowSpec
    decoders: dict[str, Decode]
    addresses: dict[str, np.ndarray]
    mapped: Any

    def read(self, name: str, places: np.ndarray) -> np.ndarray:
        """Return a field of some windows as it is stored, [n, ...]."""
        field = self.spec.arrays[name]
        found = np.empty((len(places), *field.shape), field.dtype)
        self.decode(name, places, found)
        return found

    def decode(self, name: str, places: np.ndarray, out: np.ndarray) -> None:
        """Write a field of some windows into an array of its form."""
        self.decoders[name](places, out, self.addresses[name], self.mapped)


def _open_files(shards: Sequence[Shard]) -> list[_File]:
    """Open every shard; those of one form share the compiled code, which takes seconds to make."""
    from ffcv.memory_managers import OSCacheManager
    from ffcv.reader import Reader

    compiled: dict[WindowSpec, dict[str, Decode]] = {}
    files = []
    for shard in shards:
        reader = Reader(str(shard.path))
        manager = OSCacheManager(reader)
        form = replace(shard.spec, samples=1)
        if form not in compiled:
            compiled[form] = _compile_decoders(reader, manager, form)
        context = manager.schedule_epoch([])
        context.__enter__()  # maps the file
        addresses = {name: reader.metadata[f"f{i}"] for i, name in enumerate(form.arrays)}
        files.append(_File(shard.spec, compiled[form], addresses, context.state))
    return files


def _compile_decoders(reader: Any, manager: Any, spec: WindowSpec) -> dict[str, Decode]:
    from ffcv.pipeline.compiler import Compiler

    read = manager.compile_reader()
    decoders = {}
    for number, name in enumerate(spec.arrays):
        field = reader.handlers[name]
        decoder = field.get_decoder_class()()
        decoder.accept_field(field)
        decoder.accept_globals(reader.metadata[f"f{number}"], read)
        decoders[name] = Compiler.compile(decoder.generate_code())
    return decoders


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Keep the thread counts of torch and numba, which FFCV sets when it is imported."""
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
