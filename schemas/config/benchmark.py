"""The flow's one parameter: a matrix of zoos and experiments, and where things go."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from schemas.config.ablate import AblateConfig
from schemas.config.analyse import AnalyseConfig
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.ingest import IngestConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.presets import with_below, with_preset
from schemas.config.pretrain import PretrainConfig
from schemas.config.probe import ProbeConfig
from schemas.config.recipes import with_recipe
from schemas.config.runner import RunnerConfig
from schemas.config.sharpen import DECODERS, SharpenConfig
from schemas.config.transfer import TransferConfig, may_meet_new_positions
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
    preset: str | None = Field(
        default=None,
        description="size of SANE and its training by name, under what is given here: tiny, cnn, "
        "cnn-code, resnet18, global",
    )
    zoos: tuple[ZooSource, ...] = Field(default=(ZooConfig(),), min_length=1)
    together: bool = Field(
        default=False, description="train one autoencoder on all zoos, which have one token size"
    )
    experiments: tuple[Literal["probe", "generate", "transfer", "ablate", "analyse"], ...] = Field(
        default=("probe", "generate")
    )
    global_baseline: bool = Field(
        default=False,
        description="train an autoencoder with one embedding per model (the earlier "
        "hyper-representations) as well, for rows of its own in the tables",
    )
    global_d_z: int = Field(default=256, ge=1, description="dimensions of that embedding")
    preprocess: PreprocessConfig = PreprocessConfig()
    windows: WindowsConfig = WindowsConfig()
    pretrain: PretrainConfig = PretrainConfig()
    embed: EmbedConfig = EmbedConfig()
    probe: ProbeConfig = ProbeConfig()
    sharpen: SharpenConfig = SharpenConfig()
    generate: GenerateConfig = GenerateConfig()
    transfer: TransferConfig = TransferConfig()
    ablate: AblateConfig = AblateConfig()
    analyse: AnalyseConfig = AnalyseConfig()
    data: str = Field(default="data", description="folder of the image datasets' files")
    store: str = Field(default="store", description="artifact store: a folder or an fsspec URI")
    out: str | None = Field(default=None, description="report folder; runs/<name> if not given")
    tracking: TrackingConfig = TrackingConfig()
    runner: RunnerConfig = RunnerConfig()

    @model_validator(mode="before")
    @classmethod
    def _read_the_preset(cls, values: object) -> object:
        return with_preset(values)

    @model_validator(mode="before")
    @classmethod
    def _read_recipes(cls, values: object) -> object:
        if isinstance(values, Mapping) and isinstance(values.get("zoos"), list | tuple):
            return {**values, "zoos": [with_recipe(zoo) for zoo in values["zoos"]]}
        return values

    @model_validator(mode="before")
    @classmethod
    def _know_every_position(cls, values: object) -> object:
        """Let one SANE for several zoos have sines for positions, if nothing else is said."""
        if not isinstance(values, Mapping) or not values.get("together"):
            return values
        zoos = values.get("zoos")
        if not isinstance(zoos, list | tuple) or len(zoos) < 2:
            return values
        return with_below(values, {"pretrain": {"autoencoder": {"positions": "sinusoidal"}}})

    @model_validator(mode="before")
    @classmethod
    def _know_positions_of_targets(cls, values: object) -> object:
        """Let a SANE that meets other architectures have sines for positions, likewise."""
        if not isinstance(values, Mapping) or not may_meet_new_positions(values):
            return values
        return with_below(values, {"pretrain": {"autoencoder": {"positions": "sinusoidal"}}})

    @model_validator(mode="after")
    def _transfer_to_something(self) -> "BenchmarkConfig":
        if "transfer" in self.experiments and not self.transfer.targets:
            raise ValueError(
                "experiment transfer needs something to transfer to: name transfer.targets"
            )
        names = [zoo.name for zoo in self.zoos]
        for target in self.transfer.targets:
            if unknown := sorted(set(target.zoos) - set(names)):
                raise ValueError(
                    f"zoos of transfer target {target.name} must be among {names}, got {unknown}"
                )
        return self

    @model_validator(mode="after")
    def _train_together(self) -> "BenchmarkConfig":
        zoos, weights = len(self.zoos), self.pretrain.weights
        if self.together and zoos > 1 and self.preprocess.d_t == 0:
            raise ValueError(
                "preprocess.d_t must be given where zoos are trained on together: one token size "
                "for all of them, the largest row of the largest layer"
            )
        if weights and len(weights) != (zoos if self.together else 1):
            raise ValueError(
                f"pretrain.weights must name one weight per zoo trained on together, got "
                f"{len(weights)} for {zoos if self.together else 1}"
            )
        return self

    @model_validator(mode="after")
    def _show_whole_networks(self) -> "BenchmarkConfig":
        whole, bottleneck = self.windows.whole, self.pretrain.autoencoder.bottleneck
        if bottleneck == "model" and not whole:
            raise ValueError(
                "windows.whole must be true where pretrain.autoencoder.bottleneck is model: one "
                "latent is of a whole network"
            )
        if bottleneck == "model" and self.embed.tokens:
            raise ValueError(
                "embed.tokens must be false where pretrain.autoencoder.bottleneck is model: tokens "
                "have no latents of their own"
            )
        return self

    @model_validator(mode="after")
    def _ablate_something(self) -> "BenchmarkConfig":
        if "ablate" not in self.experiments:
            return self
        if not self.ablate.any:
            raise ValueError(
                "experiment ablate needs something to do: set ablate.views, ablate.window_sizes or "
                "ablate.inference_windows"
            )
        if self.pretrain.autoencoder.bottleneck == "model" and (
            self.ablate.window_sizes or self.ablate.inference_windows
        ):
            raise ValueError(
                "ablate.window_sizes and ablate.inference_windows need an autoencoder with latents "
                "per token, got pretrain.autoencoder.bottleneck model: one latent is of a whole "
                "network"
            )
        if self.ablate.views and self.windows.views < 2:
            raise ValueError(
                "ablate.views needs two permuted views that differ: windows.views must be >= 2, "
                f"got {self.windows.views}"
            )
        if self.ablate.trains and self.together and len(self.zoos) > 1:
            raise ValueError(
                "ablate.views and ablate.window_sizes train on one zoo: together must be false"
            )
        return self

    @model_validator(mode="after")
    def _make_decoders_that_are_drawn_from(self) -> "BenchmarkConfig":
        made = {DECODERS[each.target] for each in self.sharpen.each() if self.sharpen.steps}
        for target in self.transfer.targets:
            if missing := sorted({*target.decoders} - made):
                raise ValueError(
                    f"methods of transfer target {target.name} need the decoder {missing[0]}, "
                    "which nothing makes: set sharpen.steps, and its target in sharpen.targets"
                )
            if "global_kde30" in target.methods and not self.global_baseline:
                raise ValueError(
                    f"method global_kde30 of transfer target {target.name} needs the autoencoder "
                    "of one embedding per model: set global_baseline: true"
                )
        return self

    @model_validator(mode="after")
    def _name_zoos_once(self) -> "BenchmarkConfig":
        names = [zoo.name for zoo in self.zoos]
        if "together" in names:
            raise ValueError("a zoo must not be called together: one SANE for all zoos is")
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
            if self.sharpen.steps and self.sharpen.first_epoch > zoo.epochs:
                raise ValueError(
                    f"sharpen.first_epoch must be <= epochs of zoo {zoo.name} ({zoo.epochs}), "
                    f"got {self.sharpen.first_epoch}"
                )
            if not self.windows.epochs(zoo.epochs):
                raise ValueError(
                    f"windows.first_epoch must be <= epochs of zoo {zoo.name} ({zoo.epochs}), "
                    f"got {self.windows.first_epoch}"
                )
        return self
