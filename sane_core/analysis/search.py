"""Find the networks of a zoo that are most like given ones, and say when none is.

A catalogue is what a zoo's embeddings are searched in: the table that the stage `embeddings` wrote,
with the zoo's own checkpoints table for names and accuracies, or any Parquet table with a column
`embedding`, such as `sane model embed --out` writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.analysis.neighbours import UNLIKE, Space, nearest, pooling_of, usual_distance
from sane_core.zoo.rows import rows_of

PLAIN = "embedding"
"""Column of a table that does not say how its embeddings were pooled."""


@dataclass(frozen=True)
class Catalogue:
    """The embeddings of a zoo.

    Attributes:
        vectors: Pooling, or `PLAIN` -> float32 [n, d].
        runs: int64 [n].
        epochs: int64 [n]; 0 where nothing says it.
        labels: What each is called.
        splits: Split of each, "" where nothing says it.
        accuracies: float64 [n], test accuracies; NaN where unknown.
    """

    vectors: Mapping[str, np.ndarray]
    runs: np.ndarray
    epochs: np.ndarray
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    accuracies: np.ndarray

    @classmethod
    def read(cls, embeddings: Path, zoo: Path | None = None) -> "Catalogue":
        """Read a table of embeddings.

        Args:
            embeddings: Parquet file.
            zoo: Folder of the zoo that was embedded.

        Raises:
            ValueError: If the file is no such table, or of another zoo.
        """
        try:
            table = pq.read_table(embeddings)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{embeddings} must be a Parquet file, got: {error}") from error
        columns = _vector_columns(table)
        if not columns or not len(table):
            raise ValueError(
                f"{embeddings} must hold embeddings, a column embedding or the table of the stage "
                f"embeddings, got {len(table)} rows of {', '.join(table.column_names)}"
            )
        vectors = {_pooling(name): _matrix(table[name]) for name in columns}
        count = len(table)
        runs = _integers(table, "run", np.arange(count))
        epochs = _integers(table, "epoch", np.zeros(count, np.int64))
        named, accuracies = _known(zoo, runs, epochs)
        labels = table["file"].to_pylist() if "file" in table.column_names else named
        splits = table["split"].to_pylist() if "split" in table.column_names else [""] * count
        return cls(vectors, runs, epochs, tuple(labels), tuple(splits), accuracies)

    def pooling(self, known: Sequence[str]) -> str:
        """Return the pooling to search by, one that a SANE knows.

        Raises:
            ValueError: If there is none.
        """
        fitting = {f"_{n}": v.shape[1] for n, v in self.vectors.items() if n in known}
        if fitting:
            return pooling_of(fitting)[1:]
        if PLAIN in self.vectors:
            return known[0]
        raise ValueError(
            f"the zoo's embeddings must be pooled as this SANE does, {', '.join(known)}, got "
            f"{', '.join(self.vectors)}; they are another model's"
        )

    def of(self, pooling: str) -> np.ndarray:
        """Return the vectors of a pooling.

        Raises:
            ValueError: If there are none.
        """
        found = self.vectors.get(pooling, self.vectors.get(PLAIN))
        if found is None:
            raise ValueError(
                f"pooling must be one of {', '.join(self.vectors)}, which the zoo was embedded "
                f"by, got {pooling!r}"
            )
        return found


@dataclass(frozen=True)
class Match:
    """A network of the zoo.

    Attributes:
        label: What it is called.
        run: Its run.
        epoch: Its epoch.
        split: Its split; "" where unknown.
        accuracy: Its test accuracy; None where unknown.
        distance: From the network that was given, in deviations of the zoo per dimension.
    """

    label: str
    run: int
    epoch: int
    split: str
    accuracy: float | None
    distance: float


@dataclass(frozen=True)
class Matches:
    """The most similar networks of a zoo, the nearest first.

    Attributes:
        matches: The networks.
        usual: Distance within which 99 of 100 networks of the zoo have one of another run; NaN for
            a zoo of one run.
    """

    matches: tuple[Match, ...]
    usual: float

    @cached_property
    def times_as_far(self) -> float:
        """Distance of the nearest one in usual distances of the zoo; NaN where there is none."""
        return self.matches[0].distance / self.usual if self.usual else float("nan")

    @property
    def unlike(self) -> bool:
        """Whether the network is so far from all of the zoo that the nearest says little."""
        return self.times_as_far > UNLIKE


class Index:
    """The vectors of one pooling, ready to be searched any number of times."""

    def __init__(self, catalogue: Catalogue, pooling: str) -> None:
        """Place the vectors.

        Raises:
            ValueError: If there are none of this pooling, or a value is not finite.
        """
        vectors = catalogue.of(pooling)
        self._catalogue = catalogue
        self._space = Space.of(vectors)
        self._points = self._space.place(vectors)
        self._usual = usual_distance(self._points, catalogue.runs)

    def search(self, vectors: np.ndarray, k: int, per_run: bool = False) -> list[Matches]:
        """Return the nearest networks of each vector.

        Args:
            vectors: float32 [q, d], embeddings by the same SANE with the same pooling.
            k: How many.
            per_run: Whether only the nearest network of each run counts.

        Raises:
            ValueError: If the vectors have other dimensions, or there are no k networks.
        """
        runs = self._catalogue.runs if per_run else None
        found = nearest(self._space.place(vectors), self._points, k, runs)
        pairs = zip(found.rows.tolist(), found.distances.tolist(), strict=True)
        return [Matches(tuple(map(self._match, *pair)), self._usual) for pair in pairs]

    def _match(self, row: int, distance: float) -> Match:
        zoo = self._catalogue
        accuracy = float(zoo.accuracies[row])
        return Match(
            zoo.labels[row],
            int(zoo.runs[row]),
            int(zoo.epochs[row]),
            zoo.splits[row],
            None if np.isnan(accuracy) else accuracy,
            distance,
        )


def _vector_columns(table: pa.Table) -> list[str]:
    """Return the columns that hold a list of numbers per row."""
    return [
        field.name
        for field in table.schema
        if (pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type))
        and pa.types.is_floating(field.type.value_type)
    ]


def _pooling(column: str) -> str:
    """Return how a column's embeddings were pooled: `layers` for `sane_layers`."""
    return column if column == PLAIN else column.partition("_")[2]


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if column.null_count or not len(column) or len(values) % len(column):
        raise ValueError("embeddings must all have one length, got several, or none")
    return values.astype(np.float32, copy=False).reshape(len(column), -1)


def _integers(table: pa.Table, name: str, default: np.ndarray) -> np.ndarray:
    if name not in table.column_names:
        return default
    return np.asarray(table[name].to_numpy(), np.int64)


def _known(zoo: Path | None, runs: np.ndarray, epochs: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return what the zoo calls each checkpoint, and its test accuracy."""
    if zoo is None:
        return [f"run {run}" for run in runs.tolist()], np.full(len(runs), np.nan)
    wanted = ["run", "epoch", "run_name", "test_accuracy"]
    table = pq.read_table(zoo / "checkpoints.parquet", columns=wanted)
    known = table.take(rows_of(table, runs, epochs))
    pairs = zip(known["run_name"].to_pylist(), runs.tolist(), strict=True)
    accuracy = known["test_accuracy"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    return [name or f"run {run}" for name, run in pairs], accuracy
