"""How train images are moved while networks are trained on them: that part of a recipe alone."""

from pydantic import Field

from schemas.config.training import TrainingConfig
from schemas.records import Record


class Augmented(Record):
    """What was done to train images; by default nothing."""

    flip: bool = Field(default=False, description="half of them are mirrored")
    crop: int = Field(default=0, ge=0, description="zeros around an image, then cropped")

    @classmethod
    def of(cls, training: TrainingConfig) -> "Augmented":
        """Return what a recipe does."""
        return cls(flip=training.flip, crop=training.crop)
