"""How well an embedding tells a property, by the train and validation runs alone.

What is chosen by this number may be tested afterwards: no test run was read for it.
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sane_core.embedding.files import Embeddings
from sane_core.probing.linear import Split, fit_probe
from sane_core.zoo.rows import rows_of

MEAN = "sane_mean"


def validation_r2(
    checkpoints: Path,
    embeddings: Embeddings,
    target: str,
    lambdas: tuple[float, ...],
    features: str = MEAN,
) -> float:
    """Return the R² of a ridge probe on the validation runs, at the λ that is best there.

    Args:
        checkpoints: The checkpoints table of the preprocess stage.
        embeddings: SANE's embeddings.
        target: A property, a column of the table.
        lambdas: Candidates for λ.
        features: Name of the pooling.

    Raises:
        ValueError: The table lacks the column or a checkpoint, or the target is constant on the
            validation runs.
    """
    check_target(checkpoints, target)
    table = pq.read_table(checkpoints, columns=["run", "epoch", target])
    known = table[target].take(rows_of(table, embeddings.runs, embeddings.epochs))
    values = np.array(known.to_pylist(), np.float64)

    def part(split: str) -> Split:
        rows = np.flatnonzero(embeddings.split == split)
        return Split(embeddings.vectors[features][rows], values[rows])

    validation = part("validation")
    return fit_probe(part("train"), validation, validation, lambdas).validation_r2


def check_target(checkpoints: Path, target: str) -> None:
    """Raise unless a property is known of the checkpoints.

    Raises:
        ValueError: The table has no such column of numbers.
    """
    schema = pq.read_schema(checkpoints)
    numbers = [f.name for f in schema if str(f.type).startswith(("int", "float", "double"))]
    if target not in numbers:
        raise ValueError(
            f"probe.<target> must name a property of the checkpoints, got {target}; "
            f"choose one of {', '.join(numbers)}"
        )
