"""Stage `zoo` for networks trained elsewhere: ingest them, quarantine what cannot be used."""

from pydantic import Field

from sane_core.zoo.ingest import ingest, reader_for, source_digest
from sane_core.zoo.readers.reader import Reader
from schemas.config.benchmark import TrackingConfig
from schemas.config.ingest import IngestConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job
from tasks.zoo import epochs_fact


class IngestStage(Record):
    """What to ingest, and what it is read from."""

    ingest: IngestConfig
    tracking: TrackingConfig | None = Field(description="where experiments lie, for mlflow:NAME")
    digest: str = Field(description="of the source's names, sizes and times of change")

    @classmethod
    def of(cls, config: IngestConfig, tracking: TrackingConfig) -> "IngestStage":
        """Return the stage's configuration for the source as it is now.

        Raises:
            UserError: If no reader recognises the source, or it is not there.
        """
        where = tracking if _is_experiment(config) else None
        digest = source_digest(config.source, _reader(config, where), config)
        # What else is known of its networks changes nothing in them.
        own = config.model_copy(update={"images": None, "training": None})
        return cls(ingest=own, tracking=where, digest=digest)


@stage("zoo")
def ingest_zoo(job: Job, config: IngestStage, seed: int) -> None:
    """Turn a foreign zoo into weights, a checkpoints table and a quarantine."""
    reader = _reader(config.ingest, config.tracking)
    job.facts["zoo.reader"] = reader.name
    with progress_bar("ingest", None, "checkpoints") as bar:
        metrics = ingest(
            config.ingest.source, job.folder, job.scratch, config.ingest, seed, reader, bar.reach
        )
    job.metrics.update(metrics)
    job.facts.update(epochs_fact(job.folder))


def _is_experiment(config: IngestConfig) -> bool:
    return config.source.startswith("mlflow:")


def _reader(config: IngestConfig, tracking: TrackingConfig | None) -> Reader:
    if tracking is not None:
        from tasks.tracking_zoo import MlflowZoo

        return MlflowZoo(tracking, config.metric_names)
    return reader_for(config.source, config)
