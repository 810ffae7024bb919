"""Embeddings on disk: a Parquet row per checkpoint, a vector column per pooling."""

from dataclasses import dataclass
from pathlib import Path

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


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write the embeddings table."""
    schema = embeddings_schema(
        {name: values.shape[1] for name, values in embeddings.vectors.items()}
    )
    columns = [pa.array(embeddings.runs, pa.int32()), pa.array(embeddings.epochs, pa.int32())]
    columns.append(pa.array(embeddings.split.tolist()))
    columns += [
        pa.ListArray.from_arrays(
            pa.array(np.arange(len(values) + 1) * values.shape[1], pa.int32()),
            pa.array(values.ravel(), pa.float32()),
        ).cast(schema.field(name).type)
        for name, values in embeddings.vectors.items()
    ]
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def read_embeddings(path: Path) -> Embeddings:
    """Read what `write_embeddings` wrote."""
    table = pq.read_table(path)
    vectors = {
        name: table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        for name in table.column_names[3:]
    }
    runs, epochs = (table[name].to_numpy().astype(np.int64) for name in ("run", "epoch"))
    return Embeddings(vectors, runs, epochs, np.asarray(table["split"].to_pylist()))
