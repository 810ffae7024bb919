"""Configuration of the zoo stage: a population of networks trained at once."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.records import Record

IMAGES = {"digits": 1797}
"""Images there are, by dataset."""


class ZooConfig(Record):
    """A zoo trained here. Defaults are the digits quickstart."""

    name: str = Field(default="digits-cnn", pattern=r"^[a-z0-9][a-z0-9-]*$", description="zoo name")
    dataset: Literal["digits"] = Field(default="digits", description="image data")
    architecture: Literal["digits-cnn"] = Field(default="digits-cnn", description="registered name")
    members: int = Field(default=200, ge=4, description="networks in the population (runs)")
    epochs: int = Field(default=50, ge=1, description="training epochs; epochs 0..epochs are kept")
    batch: int = Field(default=64, ge=1, description="images per member and step")
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam step size")
    train_images: int = Field(default=1000, ge=1)
    validation_images: int = Field(default=297, ge=1)
    test_images: int = Field(default=500, ge=1)
    train_share: float = Field(default=0.70, gt=0, lt=1, description="share of runs to train on")
    validation_share: float = Field(
        default=0.15, gt=0, lt=1, description="share of validation runs"
    )
    chunk: int = Field(default=50, ge=1, description="members trained at once (bounds memory)")

    @model_validator(mode="after")
    def _find_enough_images(self) -> "ZooConfig":
        wanted = (self.train_images, self.validation_images, self.test_images)
        if sum(wanted) > IMAGES[self.dataset]:
            raise ValueError(
                "train_images + validation_images + test_images must be <= "
                f"{IMAGES[self.dataset]} for {self.dataset}, got {' + '.join(map(str, wanted))}"
            )
        return self

    @model_validator(mode="after")
    def _leave_runs_for_the_test_split(self) -> "ZooConfig":
        if self.train_share + self.validation_share >= 1:
            raise ValueError(
                "train_share + validation_share must be < 1, got "
                f"{self.train_share} + {self.validation_share}"
            )
        return self
