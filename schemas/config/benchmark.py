"""The flow's one parameter: a matrix of zoos and experiments, and where things go."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.ingest import IngestConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import PretrainConfig
from schemas.config.probe import ProbeConfig
from schemas.config.recipes import with_recipe
from schemas.config.runner import RunnerConfig
from schemas.config.windows import WindowsConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Record


class TrackingConfig(Record):
    """Where MLflow keeps its database and artifacts."""

    uri: str = Field(default="sqlite:///mlruns/mlflow.db", description="MLflow tracking URI")
    artifacts: str = Field(default="mlruns/artifacts", description="artifact folder of local runs")
    experiment: str = Field(default="sane", description="MLflow experiment of this benchmark")


class RegisteredZooConfig(Record):
    """A zoo that the store holds already."""

    registered: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="its name; the newest one, whether it was trained or ingested",
    )

    @property
    def name(self) -> str:
        """Its name."""
        return self.registered


def _kind(zoo: object) -> str:
    """Return which kind of zoo a mapping describes, by the key that only this kind has."""
    if isinstance(zoo, Mapping):
        return next((f"<{key}>" for key in ("source", "registered") if key in zoo), "<trained>")
    if isinstance(zoo, IngestConfig):
        return "<source>"
    return "<registered>" if isinstance(zoo, RegisteredZooConfig) else "<trained>"


ZooSource = Annotated[
    Annotated[ZooConfig, Tag("<trained>")]
    | Annotated[IngestConfig, Tag("<source>")]
    | Annotated[RegisteredZooConfig, Tag("<registered>")],
    Discriminator(_kind),
]
"""A zoo to train, to ingest (it has a `source`), or that is there (it has `registered`)."""


class BenchmarkConfig(Record):
    """Every experiment on every zoo."""

    name: str = Field(default="quickstart", pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(
        default=0, ge=0, description="the one seed; every draw derives from it by name"
    )
    zoos: tuple[ZooSource, ...] = Field(default=(ZooConfig(),), min_length=1)
    experiments: tuple[Literal["probe", "generate"], ...] = Field(default=("probe", "generate"))
    preprocess: PreprocessConfig = PreprocessConfig()
    windows: WindowsConfig = WindowsConfig()
    pretrain: PretrainConfig = PretrainConfig()
    embed: EmbedConfig = EmbedConfig()
    probe: ProbeConfig = ProbeConfig()
    generate: GenerateConfig = GenerateConfig()
    data: str = Field(default="data", description="folder of the image datasets' files")
    store: str = Field(default="store", description="artifact store: a folder or an fsspec URI")
    out: str | None = Field(default=None, description="report folder; runs/<name> if not given")
    tracking: TrackingConfig = TrackingConfig()
    runner: RunnerConfig = RunnerConfig()

    @model_validator(mode="before")
    @classmethod
    def _read_recipes(cls, values: object) -> object:
        if isinstance(values, Mapping) and isinstance(values.get("zoos"), list | tuple):
            return {**values, "zoos": [with_recipe(zoo) for zoo in values["zoos"]]}
        return values

    @model_validator(mode="after")
    def _name_zoos_once(self) -> "BenchmarkConfig":
        names = [zoo.name for zoo in self.zoos]
        if len(set(names)) != len(names):
            raise ValueError(f"zoo names must be unique, got {names}")
        for zoo in self.zoos:
            if not isinstance(zoo, ZooConfig):
                continue
            if "generate" in self.experiments and self.generate.prompt_epoch > zoo.epochs:
                raise ValueError(
                    f"generate.prompt_epoch must be <= epochs of zoo {zoo.name} ({zoo.epochs}), "
                    f"got {self.generate.prompt_epoch}"
                )
            if not self.windows.epochs(zoo.epochs):
                raise ValueError(
                    f"windows.first_epoch must be <= epochs of zoo {zoo.name} ({zoo.epochs}), "
                    f"got {self.windows.first_epoch}"
                )
        return self
