"""The flow's one parameter: a matrix of zoos and experiments, and where things go."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import PretrainConfig
from schemas.config.probe import ProbeConfig
from schemas.config.windows import WindowsConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Record


class TrackingConfig(Record):
    """Where MLflow keeps its database and artifacts."""

    uri: str = Field(default="sqlite:///mlruns/mlflow.db", description="MLflow tracking URI")
    artifacts: str = Field(default="mlruns/artifacts", description="artifact folder of local runs")
    experiment: str = Field(default="sane", description="MLflow experiment of this benchmark")


class BenchmarkConfig(Record):
    """Every experiment on every zoo."""

    name: str = Field(default="quickstart", pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(
        default=0, ge=0, description="the one seed; every draw derives from it by name"
    )
    zoos: tuple[ZooConfig, ...] = Field(default=(ZooConfig(),), min_length=1)
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

    @model_validator(mode="after")
    def _name_zoos_once(self) -> "BenchmarkConfig":
        names = [zoo.name for zoo in self.zoos]
        if len(set(names)) != len(names):
            raise ValueError(f"zoo names must be unique, got {names}")
        for zoo in self.zoos:
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
