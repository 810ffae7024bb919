"""Configuration of the ingest stage: a zoo that was made elsewhere."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from schemas.config.images import ImagesConfig
from schemas.config.training import TrainingConfig
from schemas.records import Record


def _offer_trained_like(schema: dict[str, Any]) -> None:
    """Let a schema know the key `trained_like`, which `BenchmarkConfig` replaces."""
    schema["properties"]["trained_like"] = {
        "type": "string",
        "title": "Trained Like",
        "description": "name of a recipe: what the networks see, and how they were trained",
    }


class IngestConfig(Record):
    """Which networks of a source become a zoo, and what is demanded of them."""

    model_config = ConfigDict(json_schema_extra=_offer_trained_like)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="zoo name")
    source: str = Field(
        min_length=1,
        description="folder, file or glob, hf:owner/name[@revision], or mlflow:NAME (experiment)",
    )
    reader: str = Field(default="auto", min_length=1, description="layout; auto: recognise it")
    architecture: str | None = Field(
        default=None, description="registered name or package.module:factory; None: by shapes"
    )
    mixed: bool = Field(default=False, description="allow several architectures in one zoo")
    pattern: str | None = Field(
        default=None,
        description="file names, as resnet_{run}_epoch{epoch}.pt; other fields are properties",
    )
    table: str | None = Field(
        default=None,
        description="CSV or Parquet with a column file, within the source; None: zoo.csv or "
        "zoo.parquet where there is one",
    )
    metric_names: dict[str, str] = Field(
        default={}, description="name of a metric at the source -> test_accuracy, …; for mlflow:"
    )
    licence: str | None = Field(default=None, description="licence where the files name none")
    licences: tuple[str, ...] = Field(
        default=(), description="licences accepted, as mit; empty: any, also none"
    )
    weight_threshold: float = Field(
        default=1e4, gt=0, description="largest |weight| of a network that is used"
    )
    max_quarantined: float = Field(
        default=0.1, ge=0, le=1, description="share of checkpoints above which ingestion fails"
    )
    require_metrics: bool | None = Field(
        default=None, description="test accuracy needed; None: if any checkpoint's is known"
    )
    images: ImagesConfig | None = Field(
        default=None,
        description="what its networks see; needed to generate, and used by the behaviour loss",
    )
    training: TrainingConfig | None = Field(
        default=None,
        description="how they were trained, and samples are fine-tuned; needed to generate. "
        "`trained_like: RECIPE` gives both",
    )
    first_epoch: int = Field(default=0, ge=0, description="smallest epoch kept")
    last_epoch: int | None = Field(default=None, ge=0, description="largest epoch kept")
    every: int = Field(default=1, ge=1, description="keep epochs that are multiples of this")
    train_share: float = Field(default=0.70, gt=0, lt=1, description="share of runs to train on")
    validation_share: float = Field(
        default=0.15, gt=0, lt=1, description="share of validation runs"
    )
    shard_bytes: int = Field(
        default=256 * 2**20, ge=2**20, description="bytes of checkpoints in one Parquet file"
    )

    @model_validator(mode="after")
    def _leave_runs_for_the_test_split(self) -> "IngestConfig":
        if self.train_share + self.validation_share >= 1:
            raise ValueError(
                "train_share + validation_share must be < 1, got "
                f"{self.train_share} + {self.validation_share}"
            )
        return self

    @model_validator(mode="after")
    def _keep_some_epoch(self) -> "IngestConfig":
        if self.last_epoch is not None and self.last_epoch < self.first_epoch:
            raise ValueError(
                f"last_epoch must be >= first_epoch, got {self.last_epoch} < {self.first_epoch}"
            )
        return self
