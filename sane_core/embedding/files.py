"""Embeddings on disk: a Parquet row per checkpoint, a vector column per pooling."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import embeddings_schema


@dataclass(frozen=True)
class Embeddings:
    """Pooled latents of checkpoints.

    Attributes:
        vectors: Name of the pooling -> float32 [checkpoints, d].
        runs: int64 [checkpoints].
        epochs: int64 [checkpoints].
        split: str [checkpoints].
    """

    vectors: dict[str, np.ndarray]
    runs: np.ndarray
    epochs: np.ndarray
    split: np.ndarray


class EmbeddingsWriter:
    """Writes the embeddings table, `add` after `add` a row group."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def add(self, embeddings: Embeddings) -> None:
        """Append checkpoints; all have the poolings of the first, in its lengths."""
        vectors = embeddings.vectors
        schema = embeddings_schema({name: values.shape[1] for name, values in vectors.items()})
        if self._writer is None:
            few = ["run", "epoch", "split"]
            self._writer = pq.ParquetWriter(
                self._path, schema, compression="zstd", use_dictionary=few, write_statistics=few
            )
        columns = [pa.array(embeddings.runs, pa.int32()), pa.array(embeddings.epochs, pa.int32())]
        columns.append(pa.array(embeddings.split.tolist()))
        columns += [_lists(values, schema.field(name).type) for name, values in vectors.items()]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write the embeddings table at once."""
    with EmbeddingsWriter(path) as writer:
        writer.add(embeddings)


def read_embeddings(path: Path) -> Embeddings:
    """Read what `write_embeddings` wrote."""
    table = pq.read_table(path)
    vectors = {
        name: table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        for name in table.column_names[3:]
    }
    runs, epochs = (table[name].to_numpy().astype(np.int64) for name in ("run", "epoch"))
    return Embeddings(vectors, runs, epochs, np.asarray(table["split"].to_pylist()))


def joined(parts: Sequence[Embeddings]) -> Embeddings:
    """Put the checkpoints of several tables of the same poolings one after another."""
    first = parts[0]
    return Embeddings(
        vectors={key: np.concatenate([p.vectors[key] for p in parts]) for key in first.vectors},
        runs=np.concatenate([p.runs for p in parts]),
        epochs=np.concatenate([p.epochs for p in parts]),
        split=np.concatenate([p.split for p in parts]),
    )


def _lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)
