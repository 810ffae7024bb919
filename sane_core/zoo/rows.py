"""Where the checkpoints asked for stand in a checkpoints table, by run and epoch."""

import numpy as np
import pyarrow as pa


def rows_of(table: pa.Table, runs: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """Return the row of every checkpoint, in the order asked for.

    Args:
        table: A checkpoints table, columns run and epoch among others.
        runs: int [n].
        epochs: int [n].

    Returns:
        int64 [n].

    Raises:
        ValueError: If the table lacks one of the checkpoints.
    """
    pairs = zip(table["run"].to_pylist(), table["epoch"].to_pylist(), strict=True)
    row_of = {pair: row for row, pair in enumerate(pairs)}
    wanted = list(zip(runs.tolist(), epochs.tolist(), strict=True))
    if lacking := next((pair for pair in wanted if pair not in row_of), None):
        raise ValueError(
            f"the checkpoints table must hold every checkpoint asked for, got none of run "
            f"{lacking[0]}, epoch {lacking[1]}; take the zoo that was embedded"
        )
    return np.array([row_of[pair] for pair in wanted], np.int64)
