"""From a zoo's configuration to its artifact: trained, ingested, or there already."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.config.benchmark import BenchmarkConfig, RegisteredZooConfig, ZooSource
from schemas.config.ingest import IngestConfig
from schemas.config.training import TrainingConfig
from schemas.records import Artifact
from tasks.images import ImagesStage, prepare_images
from tasks.ingest import IngestStage, ingest_zoo
from tasks.store import Store, manifest_of
from tasks.zoo import ZooStage, build_zoo, epochs_of
from tasks.zoos import zoo_named


@dataclass(frozen=True)
class MadeZoo:
    """A zoo that further stages can start from.

    Attributes:
        artifact: The zoo.
        epochs: Its epochs, ascending.
        images: What its networks see, if that is known.
        training: How they are trained, if that is known.
    """

    artifact: Artifact
    epochs: list[int]
    images: Artifact | None
    training: TrainingConfig | None


def make_zoo(run: Callable[..., Artifact], config: BenchmarkConfig, source: ZooSource) -> MadeZoo:
    """Train or ingest a zoo, or find it.

    Args:
        run: Runs one stage, `run(stage, config, **inputs)`, and returns its artifact.
        config: The benchmark's configuration.
        source: The zoo's.

    Raises:
        UserError: If the zoo is not in the store, or its source or images cannot be read.
    """
    images: Artifact | None = None
    training: TrainingConfig | None = None
    if isinstance(source, RegisteredZooConfig):
        found = zoo_named(Store(config.store), source.registered)
        zoo, images, training = found.artifact, found.images, found.training
    elif isinstance(source, IngestConfig):
        zoo = run(ingest_zoo, IngestStage.of(source, config.tracking))
        training = source.training
        if source.images is not None:
            images = run(prepare_images, ImagesStage.of(source.images, config.data))
    else:
        images = run(prepare_images, ImagesStage.of(source.images, config.data))
        training = source.training()
        zoo = run(build_zoo, ZooStage.of(source), images=images)
    return MadeZoo(zoo, epochs_of(manifest_of(zoo)), images, training)
