"""Stage `zoo`: train a population of networks and keep its epochs."""

from pathlib import Path

import pyarrow.parquet as pq

from sane_core.zoo.build import train_zoo
from schemas.config.images import ImagesConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Manifest, Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact

EPOCHS = "zoo.epochs"
"""Fact of a zoo: its epochs, ascending, with spaces between."""


def epochs_fact(zoo: Path) -> dict[str, str]:
    """Return the fact that says which epochs a zoo's folder has."""
    epochs = pq.read_table(zoo / "checkpoints.parquet", columns=["epoch"])["epoch"]
    return {EPOCHS: " ".join(map(str, sorted(epochs.unique().to_pylist())))}


def epochs_of(manifest: Manifest) -> list[int]:
    """Return the epochs of a zoo, ascending."""
    return [int(epoch) for epoch in manifest.facts[EPOCHS].split()]


class ZooStage(Record):
    """What to train; which images is in the content of the images' artifact."""

    recipe: ZooConfig

    @classmethod
    def of(cls, recipe: ZooConfig) -> "ZooStage":
        """Return the stage's configuration, the same whatever the images are called."""
        return cls(recipe=recipe.model_copy(update={"images": ImagesConfig()}))


@stage("zoo")
def build_zoo(job: Job, config: ZooStage, seed: int, images: OpenArtifact) -> None:
    """Train a zoo: weights and checkpoints table."""
    recipe = config.recipe

    def note(way: str, at_once: int, seconds: dict[str, float]) -> None:
        job.facts["zoo.way"] = way
        job.timings["zoo.members_at_once"] = float(at_once)
        job.timings.update({f"zoo.way.{name}.seconds": took for name, took in seconds.items()})

    with progress_bar("zoo", recipe.members * (recipe.epochs + 1), "member-epochs") as bar:
        metrics = train_zoo(recipe, images.folder, seed, job.folder, job.scratch, bar.advance, note)
    job.metrics.update(metrics)
    job.facts.update(epochs_fact(job.folder))
