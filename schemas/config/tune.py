"""Configuration of a hyper-parameter search over pretraining."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Record

LOSSES = ("validation_loss", "validation_reconstruction")
"""Objectives that training measures itself; smaller is better."""

PROBE = "probe."
"""Begins the objectives that probe for a property; larger is better."""

# Validation is on the validation windows, in the two views of training, zoo by its share.
_DATA = (
    "seed",
    "zoos",
    "together",
    "preprocess",
    "windows.first_epoch",
    "windows.last_epoch",
    "windows.epoch_step",
    "windows.starts",
    "pretrain.first_view",
    "pretrain.second_view",
    "pretrain.weights",
    "pretrain.layer_normalization",
)
# What NT-Xent is made of: another temperature, batch or window is another scale, and γ weighs it.
_TERMS = (
    "windows",
    "pretrain.gamma",
    "pretrain.temperature",
    "pretrain.batch",
    "pretrain.behaviour",
)
REDEFINED_BY = {"validation_loss": (*_DATA, *_TERMS), "validation_reconstruction": _DATA}
"""Keys that a loss is measured by: searched, they would win by changing the measure."""


def redefines(key: str, objective: str) -> bool:
    """Return whether an objective means something else for every value of a key."""
    parts = REDEFINED_BY.get(objective, ())
    return any(key == part or key.startswith(f"{part}.") for part in parts)


class RangeConfig(Record):
    """Values from `low` to `high`; whole numbers where the key takes only those."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = Field(default=False, description="search the logarithm: for rates and decays")

    @model_validator(mode="after")
    def _order(self) -> "RangeConfig":
        if self.low > self.high:
            raise ValueError(f"low must be <= high ({self.high:g}), got {self.low:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be > 0 where log is true, got {self.low:g}")
        return self


class ChoicesConfig(Record):
    """Values out of a list: numbers, texts, true, false or null."""

    choices: tuple[object, ...] = Field(min_length=1)

    @field_validator("choices")
    @classmethod
    def _check_choices(cls, choices: tuple[object, ...]) -> tuple[object, ...]:
        for choice in choices:
            if not isinstance(choice, str | int | float | None):
                raise ValueError(f"must hold numbers, texts, true, false or null, got {choice!r}")
        if len({repr(choice) for choice in choices}) < len(choices):
            raise ValueError(f"must differ from each other, got {list(choices)}")
        return choices


def _kind(values: object) -> str:
    """Return which kind of values a mapping describes, by the key that only one kind has."""
    if isinstance(values, Mapping):
        return "<choices>" if "choices" in values else "<range>"
    return "<choices>" if isinstance(values, ChoicesConfig) else "<range>"


Values = Annotated[
    Annotated[RangeConfig, Tag("<range>")] | Annotated[ChoicesConfig, Tag("<choices>")],
    Discriminator(_kind),
]
"""What a key is tried with: a range, or a list (it has `choices`)."""


class PrunerConfig(Record):
    """When a trial is ended before its last epoch."""

    kind: Literal["median", "none"] = Field(
        default="median", description="median: worse than half of the trials before it, at its best"
    )
    startup_trials: int = Field(default=5, ge=0, description="trials that must have ended before")
    warmup_epochs: int = Field(
        default=3, ge=0, description="epochs that every trial is given at least"
    )


class TuneConfig(Record):
    """A search: what is tried, how often, and what is best."""

    study: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="its name, once per store")
    benchmark: BenchmarkConfig | str = Field(
        description="what is varied: the keys of an experiment file, or its path",
        union_mode="left_to_right",
    )
    space: dict[str, Values] = Field(
        min_length=1, description="what is tried, by key of the benchmark: pretrain.learning_rate"
    )
    objective: str = Field(
        default="validation_reconstruction",
        pattern=r"^(validation_loss|validation_reconstruction|probe\.\w+)$",
        description="a loss, or probe.<target>: R² of the mean embedding on validation runs",
    )
    trials: int = Field(default=20, ge=1, description="in all, over every call of the command")
    pruner: PrunerConfig = PrunerConfig()
    seed: int = Field(default=0, ge=0, description="of the sampler; the benchmark has its own")
    storage: str | None = Field(
        default=None, description="SQLAlchemy URL; a file of the study's own in the store if none"
    )
    out: str | None = Field(default=None, description="folder of the outcome; runs/<study> if none")

    @property
    def target(self) -> str | None:
        """What is probed for; None where the objective is a loss."""
        return self.objective.removeprefix(PROBE) if self.objective.startswith(PROBE) else None

    @model_validator(mode="after")
    def _keep_the_measure(self) -> "TuneConfig":
        for key in self.space:
            if redefines(key, self.objective):
                both = redefines(key, "validation_reconstruction")
                other = "probe.<target>" if both else "validation_reconstruction"
                raise ValueError(
                    f"objective must not be {self.objective} where {key} is searched, which "
                    f"changes what that measures; choose {other}"
                )
        return self
