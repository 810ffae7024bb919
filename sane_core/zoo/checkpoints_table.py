"""The checkpoints table of an ingested zoo: what each checkpoint is called, did, and came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.formats.refused import printable
from sane_core.zoo.hyperparameters import hyperparameter_array, hyperparameter_types
from sane_core.zoo.readers.reader import METRICS, Found
from schemas.config.ingest import IngestConfig
from schemas.tables import checkpoints_schema


@dataclass(frozen=True, slots=True)
class Ingested:
    """A checkpoint that is in the zoo; metrics and properties include what its file says."""

    found: Found
    run: int
    architecture: str
    sha256: str
    metrics: Mapping[str, float]
    properties: Mapping[str, Property]


def checkpoints_table(ingested: Sequence[Ingested], config: IngestConfig) -> pa.Table:
    """Return the table, sorted by run and epoch, its splits yet to be drawn.

    Args:
        ingested: Every checkpoint, in any order.
        config: Names the zoo and its licence.
    """
    rows = sorted(ingested, key=lambda row: (row.run, row.found.epoch))
    metrics = {name: np.array([row.metrics.get(name, np.nan) for row in rows]) for name in METRICS}
    gap = metrics["train_accuracy"] - metrics["test_accuracy"]
    columns: dict[str, pa.Array] = {
        name: pa.array(values.astype(np.float32), from_pandas=True)
        for name, values in {**metrics, "generalization_gap": gap}.items()
    }
    properties = [row.properties for row in rows]
    if types := hyperparameter_types(properties):
        columns["hyperparameters"] = hyperparameter_array(properties, types)
    values: dict[str, list[object]] = {
        "zoo": [config.name] * len(rows),
        "run": [row.run for row in rows],
        "run_name": [printable(row.found.run) for row in rows],
        "epoch": [row.found.epoch for row in rows],
        "architecture": [row.architecture for row in rows],
        "source": [printable(row.found.file, 1000) for row in rows],
        "sha256": [row.sha256 for row in rows],
        "licence": [_licence(row, config) for row in rows],
    }
    struct = columns["hyperparameters"].type if types else ()
    schema = checkpoints_schema({field.name: field.type for field in struct})
    missing: list[object] = [None] * len(rows)
    return pa.table(
        [
            columns[f.name] if f.name in columns else pa.array(values.get(f.name, missing), f.type)
            for f in schema
        ],
        schema=schema,
    )


def last_accuracies(table: pa.Table) -> dict[str, float]:
    """Return the mean accuracies over the last epoch of every run, those that are known."""
    runs = table["run"].to_numpy()
    last = np.flatnonzero(np.append(runs[1:] != runs[:-1], True))
    found = {}
    for name in ("train_accuracy", "validation_accuracy", "test_accuracy"):
        values = table[name].to_numpy(zero_copy_only=False).astype(float)[last]
        if not np.isnan(values).all():
            found[f"zoo.{name}"] = float(np.nanmean(values))
    return found


def _licence(row: Ingested, config: IngestConfig) -> str | None:
    licence = row.found.licence or config.licence
    return printable(licence) if licence else None
