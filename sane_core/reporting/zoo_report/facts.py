"""Read from a zoo's folder what its report shows; no weights, only their names and shapes.

Every column of the checkpoints table is there afterwards, null where the zoo does not know it, and
numbers that are not finite are null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sane_core.zoo.weight_entries import is_weight, weight_files
from schemas.tables import checkpoints_schema


@dataclass(frozen=True)
class ZooFacts:
    """A zoo.

    Attributes:
        checkpoints: A row per (run, epoch).
        quarantine: What was not ingested; None for a zoo trained here.
        duplicates: Which checkpoints repeat others; None where nobody looked for them.
        parameters: Architecture -> weights of one network, buffers left out.
        bytes: Size of all weights on disk.
    """

    checkpoints: pl.DataFrame
    quarantine: pl.DataFrame | None
    duplicates: pl.DataFrame | None
    parameters: Mapping[str, int]
    bytes: int

    def last(self) -> pl.DataFrame:
        """Return every run's checkpoint of its last epoch."""
        return self.checkpoints.filter(pl.col("epoch") == pl.col("epoch").max().over("run"))

    def epochs(self) -> list[int]:
        """Return the epochs that are kept of any run, ascending."""
        return [int(epoch) for epoch in self.checkpoints["epoch"].unique().sort()]

    def weights(self) -> int:
        """Return the number of weights of all checkpoints together."""
        counts = self.checkpoints["architecture"].value_counts().iter_rows()
        return sum(self.parameters.get(name, 0) * count for name, count in counts)


def read_zoo(zoo: Path) -> ZooFacts:
    """Read a zoo's folder.

    Args:
        zoo: Folder with `checkpoints.parquet` and `weights/*.parquet`; `quarantine.parquet` and
            `duplicates.parquet` may be missing.

    Raises:
        ValueError: If it is no zoo, or an empty one.
    """
    path = zoo / "checkpoints.parquet"
    if not path.exists():
        raise ValueError(
            f"a zoo must have a checkpoints.parquet, got none in {zoo}; train or ingest it first"
        )
    checkpoints = _complete(pl.read_parquet(path))
    if checkpoints.is_empty():
        raise ValueError(f"a zoo must have at least one checkpoint, got none in {path}")
    return ZooFacts(
        checkpoints,
        _optional(zoo / "quarantine.parquet"),
        _optional(zoo / "duplicates.parquet"),
        _parameters(zoo / "weights", checkpoints),
        sum(file.stat().st_size for file in weight_files(zoo / "weights")),
    )


def _complete(table: pl.DataFrame) -> pl.DataFrame:
    """Add columns that are missing; unknown architectures are called so."""
    empty = pl.DataFrame(checkpoints_schema({}).empty_table())
    missing = [pl.lit(None, kind).alias(n) for n, kind in empty.schema.items() if n not in table]
    floats = cs.float()
    finite = pl.when(floats.is_finite()).then(floats)
    return (
        table.with_columns(missing)
        .with_columns(finite, pl.col("architecture").fill_null("unknown"))
        .sort("run", "epoch")
    )


def _optional(path: Path) -> pl.DataFrame | None:
    return pl.read_parquet(path) if path.exists() else None


def _parameters(weights: Path, checkpoints: pl.DataFrame) -> dict[str, int]:
    """Count the weights of one network of every architecture."""
    files = weight_files(weights)
    if not files:
        return {}
    entries = ds.dataset(files, format="parquet")
    found = {}
    for row in checkpoints.unique("architecture", keep="first", maintain_order=True).to_dicts():
        wanted = (pc.field("run") == row["run"]) & (pc.field("epoch") == row["epoch"])
        table = entries.to_table(columns=["name", "dtype", "shape"], filter=wanted)
        sizes = [
            prod(entry["shape"])
            for entry in table.to_pylist()
            if is_weight(entry["name"], entry["dtype"])
        ]
        if sizes:
            found[row["architecture"]] = sum(sizes)
    return found
