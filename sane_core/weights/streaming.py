"""Read the tokens of chosen checkpoints one after another, in memory that does not grow with them.

Where a checkpoint stands is known from `checkpoints.parquet` (`first_token`, `last_token`), so only
the row groups that hold it are touched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.weights.files import TokenSet
from sane_core.weights.layers import Layer, token_count
from sane_core.weights.tokens import lengths_of, positions_of


@dataclass(frozen=True)
class Place:
    """A checkpoint, and where it stands among its split's tokens (`checkpoints.parquet`).

    Attributes:
        run: Its run.
        epoch: Its epoch.
        first: Its first row.
        last: Its last row.
    """

    run: int
    epoch: int
    first: int
    last: int


def places_of(
    checkpoints: Path, split: str, epochs: Sequence[int] | None = None
) -> tuple[Place, ...]:
    """Return the checkpoints of one split in the order of their tokens, without reading these.

    Args:
        checkpoints: The table `checkpoints.parquet` beside the tokens.
        split: "train", "validation" or "test".
        epochs: Epochs to return; all if not given.
    """
    chosen = pc.field("split") == split
    if epochs is not None:
        chosen = chosen & pc.field("epoch").isin(list(epochs))
    names = ["run", "epoch", "first_token", "last_token"]
    table = pq.read_table(checkpoints, columns=names, filters=chosen).sort_by("first_token")
    return tuple(Place(*row) for row in zip(*(table[n].to_pylist() for n in names), strict=True))


def each_checkpoint(
    folder: Path, split: str, places: Sequence[Place]
) -> Iterator[tuple[Place, np.ndarray]]:
    """Read checkpoints one after another, with no more than a row group in memory beside one.

    Args:
        folder: The `tokens/` folder, with a `split=<name>` folder per split.
        split: "train", "validation" or "test".
        places: Checkpoints, in the order of their tokens.

    Yields:
        The checkpoint, and its values, float32 [N, d_t], in memory that the next one overwrites.

    Raises:
        ValueError: If there are other tokens at such a place.
    """
    groups = _RowGroups(sorted((folder / f"split={split}").glob("*.parquet")))
    values = np.empty((0, 0), np.float32)
    for place in places:
        length = place.last + 1 - place.first
        for start, rows in groups.between(place.first, place.last + 1):
            read = rows["values"]
            if not ((rows["run"] == place.run) & (rows["epoch"] == place.epoch)).all():
                raise ValueError(
                    f"rows {place.first} to {place.last} of split {split} must hold run "
                    f"{place.run} at epoch {place.epoch}, got others: the tokens and "
                    "checkpoints.parquet are not of one artifact"
                )
            if len(values) != length:
                values = np.empty((length, read.shape[1]), np.float32)
            values[start - place.first : start - place.first + len(read)] = read
        yield place, values


def read_places(
    folder: Path, split: str, places: Sequence[Place], layers: tuple[Layer, ...]
) -> TokenSet:
    """Read some checkpoints of one split, and no others.

    Args:
        folder: The `tokens/` folder.
        split: "train", "validation" or "test".
        places: Checkpoints, at least one, in the order of their tokens.
        layers: Layers that they were cut from.
    """
    d_t = token_size(folder)
    values = np.empty((len(places), token_count(layers, d_t), d_t), np.float32)
    for number, (_, read) in enumerate(each_checkpoint(folder, split, places)):
        values[number] = read
    return TokenSet(
        values=values,
        positions=positions_of(layers, d_t),
        lengths=lengths_of(layers, d_t),
        runs=np.array([place.run for place in places], np.int64),
        epochs=np.array([place.epoch for place in places], np.int64),
    )


def token_size(folder: Path) -> int:
    """Return d_t, the values per token, of the `tokens/` folder."""
    first = min(folder.glob("split=*/*.parquet"))
    return int(pq.read_schema(first).field("values").type.list_size)


class _RowGroups:
    """The row groups of a split's parts; the one that was read last stays in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._places: list[tuple[Path, int]] = []
        starts = [0]
        for path in paths:
            metadata = pq.read_metadata(path)
            for group in range(metadata.num_row_groups):
                self._places.append((path, group))
                starts.append(starts[-1] + metadata.row_group(group).num_rows)
        self._starts = np.array(starts)
        self._open: tuple[int, dict[str, np.ndarray]] = (-1, {})

    def between(self, first: int, stop: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield the rows [first, stop) group by group: the first of them, and their columns."""
        if not 0 <= first < stop <= self._starts[-1]:
            raise ValueError(
                f"rows must lie in 0..{self._starts[-1]}, got {first}..{stop}: the tokens and "
                "checkpoints.parquet are not of one artifact"
            )
        group = int(np.searchsorted(self._starts, first, side="right")) - 1
        while first < stop:
            start, end = int(self._starts[group]), int(min(stop, self._starts[group + 1]))
            columns = self._read(group)
            at = slice(first - start, end - start)
            yield first, {name: column[at] for name, column in columns.items()}
            first, group = end, group + 1

    def _read(self, group: int) -> dict[str, np.ndarray]:
        if self._open[0] != group:
            self._open = (-1, {})
            path, number = self._places[group]
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(number, columns=["run", "epoch", "values"])
            columns = {name: table[name].to_numpy() for name in ("run", "epoch")}
            values = table["values"].combine_chunks()
            flat = values.flatten().to_numpy()
            columns["values"] = flat.reshape(len(values), -1)
            self._open = (group, columns)
        return self._open[1]
