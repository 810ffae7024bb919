"""Read `.beton` files through memory maps: the fallback without FFCV, and the oracle of its tests.

Addresses are regular, so each field of a file is one array with strides, [pages, samples, ...].
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from sane_core.windows.batches import WindowBatch, check_batches
from sane_core.windows.sets import OpenSets, Shard, by_shard


class NumpyReader:
    """A `WindowReader` on numpy alone.

    Args:
        windows: What to read, verified.
    """

    def __init__(self, windows: OpenSets) -> None:
        self.spec = windows.spec
        self.runs, self.epochs, self.sets = windows.runs, windows.epochs, windows.sets
        self.first_runs = windows.first_runs
        self._windows = windows
        self._fields = [_fields_of(shard) for shard in windows.shards]
        self._tokens = [fields["tokens"] for fields in self._fields]
        self._per_page = np.array([shard.spec.samples_per_page for shard in windows.shards])

    def __len__(self) -> int:
        """Return the number of windows."""
        return self.spec.samples

    def epoch_batches(self, batches: Sequence[np.ndarray]) -> Iterator[WindowBatch]:
        """Read one epoch; see `WindowReader.epoch_batches`."""
        checked = check_batches(batches, len(self))
        return (self._batch(*located) for located in self._windows.located(checked))

    def _batch(self, indices: np.ndarray, shards: np.ndarray, places: np.ndarray) -> WindowBatch:
        pages, slots = np.divmod(places, self._per_page[shards])
        batch = self._windows.empty(len(indices))
        for shard, own in by_shard(shards):
            for name in ("positions", "lengths"):
                batch[name][own] = self._fields[shard][name][pages[own], slots[own]]
        # Window by window, straight into the batch: a gather would bring memory of its own.
        each = zip(batch["tokens"], shards.tolist(), pages.tolist(), slots.tolist(), strict=True)
        for tokens, shard, page, slot in each:
            tokens[...] = self._tokens[shard][page, slot]
        return self._windows.batch(indices, **batch)


def _fields_of(shard: Shard) -> dict[str, np.ndarray]:
    """Map a file: tokens uint8 [pages, samples, bytes], positions and lengths as stored.

    The last page has room for samples that are not there.
    """
    spec = shard.spec
    mapped = np.asarray(np.memmap(shard.path, dtype=np.uint8, mode="r"))
    fields = {}
    for name, field in spec.arrays.items():
        start = spec.first_page + spec.offsets[name]
        # Tokens by bytes, as FFCV aligns arrays to nothing.
        first = mapped[start : start + field.size]
        if name != "tokens":
            first = first.view(field.dtype).reshape(field.shape)
        fields[name] = as_strided(
            first,
            (spec.pages, spec.samples_per_page, *first.shape),
            (spec.page_size, spec.sample_bytes, *first.strides),
            writeable=False,
        )
    return fields
