"""Stage `zoo`: train a population of networks and keep its epochs."""

from sane_core.zoo.build import train_zoo
from schemas.config.images import ImagesConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


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

    def note(way: str, seconds: dict[str, float]) -> None:
        job.facts["zoo.way"] = way
        job.metrics.update({f"zoo.way.{name}.ms": 1e3 * took for name, took in seconds.items()})

    with progress_bar("zoo", recipe.members * (recipe.epochs + 1), "member-epochs") as bar:
        metrics = train_zoo(recipe, images.folder, seed, job.folder, job.scratch, bar.advance, note)
    job.metrics.update(metrics)
