"""The zoos of a store, by name: the newest artifact of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from schemas.config.training import TrainingConfig
from schemas.errors import UserError
from schemas.records import Artifact, Manifest
from tasks.store import Store


@dataclass(frozen=True)
class RegisteredZoo:
    """A zoo that a store holds.

    Attributes:
        name: What it was called when it was made.
        artifact: Its folder and digest.
        manifest: What it was made from, and its metrics.
    """

    name: str
    artifact: Artifact
    manifest: Manifest

    @property
    def images(self) -> Artifact | None:
        """The images that it was trained on, if it was trained here."""
        return self.manifest.inputs.get("images")

    @property
    def training(self) -> TrainingConfig | None:
        """How it was trained, if it was trained here."""
        return training_of(self.manifest)


def training_of(zoo: Manifest) -> TrainingConfig | None:
    """Return how a zoo's networks were trained, if they were trained here."""
    recipe = zoo.config.get("recipe")
    if not isinstance(recipe, dict):
        return None
    return TrainingConfig(**{name: recipe[name] for name in TrainingConfig.model_fields})


def registered_zoos(store: Store) -> dict[str, RegisteredZoo]:
    """Return name -> the newest zoo of that name, by name."""
    found: dict[str, RegisteredZoo] = {}
    for artifact, manifest in store.artifacts("zoo"):
        name = _name_of(manifest)
        if name is not None:
            found[name] = RegisteredZoo(name, artifact, manifest)
    return dict(sorted(found.items()))


def zoo_named(store: Store, name: str) -> RegisteredZoo:
    """Return the newest zoo of a name.

    Raises:
        UserError: If there is none.
    """
    zoos = registered_zoos(store)
    if name not in zoos:
        known = ", ".join(zoos) or "none yet"
        raise UserError(
            f"store {store.uri} must hold a zoo called {name!r}, it holds {known}; make one by "
            "`sane zoo train` or `sane zoo ingest`"
        )
    return zoos[name]


def runs_and_epochs(zoo: Path) -> tuple[list[int], list[int]]:
    """Return the runs and the epochs of a zoo's folder, ascending."""
    table = pq.read_table(zoo / "checkpoints.parquet", columns=["run", "epoch"])
    runs, epochs = (sorted(table[name].unique().to_pylist()) for name in ("run", "epoch"))
    return runs, epochs


def dataset_of(store: Store, images: Artifact) -> str | None:
    """Return the name of the dataset that an images' artifact was made from."""
    config = store.manifest(images).config["images"]
    return str(config["dataset"]) if isinstance(config, Mapping) else None


def _name_of(manifest: Manifest) -> str | None:
    """Return what a zoo was called in its recipe, or where it was ingested."""
    for made in ("recipe", "ingest"):
        config = manifest.config.get(made)
        if isinstance(config, Mapping) and isinstance(config.get("name"), str):
            return str(config["name"])
    return None
