"""Stream a zoo's weights entry by entry, a row group in memory at a time.

Entries come in the order of the file; those of one checkpoint stand together.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_COLUMNS = ["run", "epoch", "name", "dtype", "shape", "values"]
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Place(NamedTuple):
    """Where the weights of a checkpoint stand.

    Attributes:
        file: Name of the file.
        first: First of its row groups that has an entry which is a weight.
        last: The last one.
    """

    file: str
    first: int
    last: int


class Entry(NamedTuple):
    """One state-dict entry of a checkpoint, buffers left out.

    Attributes:
        run: Run of the checkpoint.
        epoch: Epoch of the checkpoint.
        name: Name of the entry.
        shape: Its shape.
        values: float32 [size], flat.
        row_group: Number of the row group it stands in.
    """

    run: int
    epoch: int
    name: str
    shape: tuple[int, ...]
    values: np.ndarray
    row_group: int


def weight_files(folder: Path) -> list[Path]:
    """Return the Parquet files of a `weights` folder, by name."""
    return sorted(folder.glob("*.parquet"))


def read_entries(path: Path, row_groups: Iterable[int] | None = None) -> Iterator[Entry]:
    """Yield the weights of a file.

    Args:
        path: A Parquet file of schema `WEIGHTS`.
        row_groups: Row groups to read; all of them if not given.

    Yields:
        Every entry that is no buffer.
    """
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups) if row_groups is None else row_groups:
            yield from _entries_of(file.read_row_group(group, columns=_COLUMNS), group)


def is_weight(name: str, dtype: str) -> bool:
    """Say whether an entry is a weight: no batch-norm statistic, no integer, no boolean."""
    return "float" in dtype and not name.endswith(_BUFFERS)


def weights_of(
    entries: Mapping[str, np.ndarray], dtypes: Mapping[str, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Return the entries of a checkpoint in memory that are weights."""
    return ((name, values) for name, values in entries.items() if is_weight(name, dtypes[name]))


def _entries_of(table: pa.Table, row_group: int) -> Iterator[Entry]:
    column = {name: pa.concat_arrays(table[name].chunks) for name in table.column_names}
    values = column["values"].values.to_numpy(zero_copy_only=False)
    offsets = column["values"].offsets.to_numpy().tolist()
    shapes = column["shape"].to_pylist()
    names, dtypes = column["name"].to_pylist(), column["dtype"].to_pylist()
    runs, epochs = column["run"].to_pylist(), column["epoch"].to_pylist()
    for i, name in enumerate(names):
        if is_weight(name, dtypes[i]):
            flat = values[offsets[i] : offsets[i + 1]]
            yield Entry(runs[i], epochs[i], name, tuple(shapes[i]), flat, row_group)
