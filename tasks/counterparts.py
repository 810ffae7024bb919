"""Which published zoo a zoo of the store is read beside, from its manifest and checkpoints."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sane_core.reporting.counterpart import Counterpart, Origin, counterpart
from schemas.records import Manifest

CHECKPOINTS = "checkpoints.parquet"
LEARNING_RATE = "optim::lr"
"""What the published zoos' files call it."""


def beside(folder: Path, zoo: Manifest, images: Mapping[str, object] | None) -> Counterpart:
    """Return the published zoo that a zoo is to be read beside.

    Args:
        folder: With its checkpoints' table.
        zoo: Its manifest.
        images: The configuration of the images it was trained on, as far as they are known.
    """
    architecture = architecture_of(folder)
    recipe, ingest = (zoo.config.get(name) for name in ("recipe", "ingest"))
    if isinstance(ingest, dict):
        origin = _origin(folder, zoo, str(ingest.get("source", "")))
        return counterpart(architecture, None, None, origin)
    return counterpart(architecture, recipe if isinstance(recipe, dict) else None, images)


def architecture_of(folder: Path) -> str:
    """Return the architecture of a zoo's first network."""
    table = pq.read_table(folder / CHECKPOINTS, columns=["architecture"])
    return str(table["architecture"][0].as_py())


def name_of_zoo(zoo: Manifest) -> str:
    """Return what a zoo is called, trained or ingested."""
    for kind in ("recipe", "ingest"):
        config = zoo.config.get(kind)
        if isinstance(config, dict) and "name" in config:
            return str(config["name"])
    return zoo.key[:8]


def images_config(images: Manifest) -> Mapping[str, object] | None:
    """Return what images were asked for."""
    config = images.config.get("images")
    return config if isinstance(config, dict) else None


def _origin(folder: Path, zoo: Manifest, source: str) -> Origin:
    """Return what the files of an ingested zoo say of it."""
    table = pq.read_table(folder / CHECKPOINTS)
    return Origin(
        source,
        zoo.facts.get("zoo.reader", ""),
        _dataset(table),
        runs=pc.count_distinct(table["run"]).as_py(),
        epochs=pc.max(table["epoch"]).as_py(),
        rates=_rates(table),
    )


def _dataset(table: pa.Table) -> str:
    """Return what the files call their dataset, if they do."""
    if "hyperparameters" not in table.column_names:
        return ""
    first = table["hyperparameters"][0].as_py() or {}
    return next((str(value) for name, value in first.items() if "dataset" in name and value), "")


def _rates(table: pa.Table) -> frozenset[float | None]:
    """Return the learning rates that the files name."""
    if "hyperparameters" not in table.column_names:
        return frozenset()
    struct = table["hyperparameters"].combine_chunks()
    if struct.type.get_field_index(LEARNING_RATE) < 0:
        return frozenset()
    values = pc.unique(pc.struct_field(struct, [LEARNING_RATE])).to_pylist()
    return frozenset(value if isinstance(value, int | float) else None for value in values)
