"""Configuration of the zoo stage: a population of networks trained at once."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from schemas.config.images import ImagesConfig
from schemas.config.training import TrainingConfig


def _offer_recipes(schema: dict[str, Any]) -> None:
    """Let a schema know the key `recipe`, which `BenchmarkConfig` replaces by what it names."""
    schema["properties"]["recipe"] = {
        "type": "string",
        "title": "Recipe",
        "description": "name of a recipe; the other keys are laid over it",
    }


class ZooConfig(TrainingConfig):
    """A zoo trained here: what, on which images, by which recipe. By default CNNs on digits."""

    model_config = ConfigDict(json_schema_extra=_offer_recipes)

    name: str = Field(default="digits-cnn", pattern=r"^[a-z0-9][a-z0-9-]*$", description="zoo name")
    images: ImagesConfig = Field(default=ImagesConfig(train=1000, validation=297, test=500))
    architecture: str = Field(
        default="digits-cnn",
        description="registered name with options, resnet18[width=8], or package.module:factory",
    )
    members: int = Field(default=200, ge=4, description="networks in the population (runs)")
    scored: int | None = Field(
        default=None,
        ge=1,
        description="training images that the train accuracy is measured on, all by default",
    )
    keep_every: int = Field(
        default=1, ge=1, description="epochs 0, n, 2n, … and the last are kept, all by default"
    )
    train_share: float = Field(default=0.70, gt=0, lt=1, description="share of runs to train on")
    validation_share: float = Field(
        default=0.15, gt=0, lt=1, description="share of validation runs"
    )
    chunk: int | None = Field(
        default=None,
        ge=1,
        description="members trained at once; found from the memory if not given",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where members are trained; auto: every GPU, if there is one"
    )
    licence: str = Field(default="Apache-2.0", description="licence of the trained networks")

    @model_validator(mode="after")
    def _leave_runs_for_the_test_split(self) -> "ZooConfig":
        if self.train_share + self.validation_share >= 1:
            raise ValueError(
                "train_share + validation_share must be < 1, got "
                f"{self.train_share} + {self.validation_share}"
            )
        return self

    def training(self) -> TrainingConfig:
        """Return how members are trained, without what they are called and where they come from."""
        names = TrainingConfig.model_fields
        return TrainingConfig(**{name: getattr(self, name) for name in names})

    def kept_epochs(self) -> list[int]:
        """Return the epochs whose weights are kept, ascending."""
        return sorted({*range(0, self.epochs + 1, self.keep_every), self.epochs})
