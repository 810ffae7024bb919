"""The last step of every zoo, trained or ingested: look for copies, split by run, check for leaks.

Runs that repeat each other, exactly, reordered or nearly, are on one side of the split.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.zoo.duplicates import groups_of, write_duplicates
from sane_core.zoo.fingerprints import Placed
from sane_core.zoo.grouped_splits import split_groups
from sane_core.zoo.leakage import check_leakage

FEWEST = 3
"""Runs that can be split into three; copies of one count once."""


def finish_zoo(
    folder: Path,
    checkpoints: pa.Table,
    prints: Sequence[Placed],
    train_share: float,
    validation_share: float,
    seed: int,
) -> dict[str, float]:
    """Split the runs and write the checkpoints table.

    One or two runs, not counting copies, cannot be split: all are `test`, to be embedded only.

    Args:
        folder: Has `weights/*.parquet`; gets `duplicates.parquet` and `checkpoints.parquet`.
        checkpoints: The table, its column `split` yet to be filled.
        prints: Fingerprints taken as the weights were written, in any order.
        train_share: Share of train runs.
        validation_share: Share of validation runs.
        seed: The run's seed.

    Returns:
        Metric `zoo.duplicates`: runs that repeat another one.

    Raises:
        ValueError: If a checkpoint stands there twice, or if the result leaks.
    """
    duplicates = write_duplicates(folder, prints)
    runs = checkpoints["run"].unique().to_pylist()
    groups = groups_of(duplicates)
    repeated = sum(len(group) - 1 for group in groups)
    split = dict.fromkeys(runs, "test")
    if len(runs) - repeated >= FEWEST:
        split = split_groups(runs, groups, train_share, validation_share, seed)
    column = pa.array([split[run] for run in checkpoints["run"].to_pylist()], pa.string())
    place = checkpoints.schema.get_field_index("split")
    table = checkpoints.set_column(place, "split", column)
    pq.write_table(table, folder / "checkpoints.parquet", compression="zstd")
    check_leakage(folder, duplicates)
    return {"zoo.duplicates": float(repeated)}
