"""The Parquet tables of the artifacts: one pyarrow schema per file kind.

Accuracies, gaps and shares are fractions in [0, 1]; losses are nats.
"""

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

_CHECKPOINT = [
    ("zoo", pa.string()),
    ("run", pa.int32()),
    ("run_name", pa.string()),
    ("epoch", pa.int32()),
    ("split", pa.string()),
    ("architecture", pa.string()),
    ("test_accuracy", pa.float32()),
    ("validation_accuracy", pa.float32()),
    ("train_accuracy", pa.float32()),
    ("generalization_gap", pa.float32()),
    ("test_loss", pa.float32()),
    ("validation_loss", pa.float32()),
    ("train_loss", pa.float32()),
]
_ORIGIN = [
    ("source", pa.string()),
    ("sha256", pa.string()),
    ("licence", pa.string()),
    ("first_token", pa.int64()),
    ("last_token", pa.int64()),
]


def checkpoints_schema(hyperparameters: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the checkpoints table's schema: a row per (run, epoch).

    `run_name` is what the run was called where it was made, null for zoos trained here;
    `first_token` and `last_token` are its rows in its split's tokens table.

    Args:
        hyperparameters: Field -> type of the struct `hyperparameters`. Parquet knows no empty
            structs, so a zoo without hyper-parameters has no such column.
    """
    struct = [("hyperparameters", pa.struct(list(hyperparameters.items())))]
    return pa.schema(_CHECKPOINT + (struct if hyperparameters else []) + _ORIGIN)


CHECKPOINTS = checkpoints_schema({"learning_rate": pa.float64(), "batch": pa.int32()})
"""The checkpoints table of a zoo trained here."""

QUARANTINE = pa.schema(
    [
        ("file", pa.string()),
        ("run", pa.string()),
        ("epoch", pa.int32()),
        ("reason", pa.string()),
        ("remedy", pa.string()),
        ("pending", pa.bool_()),
    ]
)
"""A row per file that was not ingested, all text printable; `run`: its name, if known.

`pending`: half-written by a training still running; the next ingestion picks it up.
"""

WEIGHTS = pa.schema(
    [
        ("run", pa.int32()),
        ("epoch", pa.int32()),
        ("name", pa.string()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float32())),
    ]
)
"""A row per (run, epoch, state-dict entry), buffers included.

`dtype` is the entry's own type; its values stand as float32 whatever it is.
"""

LAYERS = pa.schema(
    [
        ("architecture", pa.string()),
        ("l", pa.int32()),
        ("name", pa.string()),
        ("weight", pa.string()),
        ("bias", pa.string()),
        ("shape", pa.list_(pa.int32())),
        ("c_out", pa.int32()),
        ("c_r", pa.int32()),
        ("has_bias", pa.bool_()),
        ("tokens", pa.int32()),
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("minimum", pa.float64()),
        ("maximum", pa.float64()),
        ("offset", pa.float64()),
        ("scale", pa.float64()),
        ("variance", pa.float64()),
    ]
)
"""A row per (architecture, layer).

`weight`, `bias`: the state-dict entries pooled, the bias null if there is none; `shape`: the
weight's. `mean`, `std` (0 where constant), `minimum` and `maximum` are those of the train split's
aligned weights. Tokens hold (w - offset) / scale; `variance` is that of the train split's.
"""

ALIGNMENT = pa.schema(
    [
        ("run", pa.int32()),
        ("group", pa.string()),
        ("permutation", pa.list_(pa.int32())),
        ("signs", pa.list_(pa.int8())),
    ]
)
"""A row per (run, group): unit i of the aligned run is unit permutation[i] of the original.

`signs`: 1 or -1 that it is multiplied by; null where units were not allowed to flip.
"""

DISTANCES = pa.schema(
    [
        ("run", pa.int32()),
        ("split", pa.string()),
        ("before", pa.float64()),
        ("after", pa.float64()),
    ]
)
"""A row per run: squared distance of its last epoch to the reference, before and after alignment.

All trained weights count, as they are, also those that are not cut into tokens.
"""


def tokens_schema(d_t: int, dtype: Literal["float32", "float16"] = "float32") -> pa.Schema:
    """Return the tokens table's schema for token size `d_t`: a row per token.

    Args:
        d_t: Token size.
        dtype: Precision of the values.
    """
    numbers = {"float32": pa.float32(), "float16": pa.float16()}[dtype]
    # Marks for absent lists and values would cost a tenth of the time of reading and writing.
    values = pa.list_(pa.field("element", numbers, nullable=False), d_t)
    return pa.schema(
        [
            *((name, pa.int32()) for name in ("run", "epoch", "n", "l", "k", "length")),
            pa.field("values", values, nullable=False),
        ]
    )


def embeddings_schema(columns: dict[str, int]) -> pa.Schema:
    """Return the embeddings table's schema: a row per (run, epoch), a vector per pooling."""
    return pa.schema(
        [("run", pa.int32()), ("epoch", pa.int32()), ("split", pa.string())]
        + [(name, pa.list_(pa.float32(), size)) for name, size in columns.items()]
    )


def latents_schema(d_z: int) -> pa.Schema:
    """Return the schema of the latents of tokens: a row per token of a (run, epoch).

    Args:
        d_z: Latent dimensions.
    """
    values = pa.list_(pa.field("element", pa.float32(), nullable=False), d_z)
    return pa.schema(
        [
            *((name, pa.int32()) for name in ("run", "epoch", "n", "l", "k")),
            pa.field("latents", values, nullable=False),
        ]
    )
