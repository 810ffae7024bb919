"""Configuration of refinement: gradient steps on drawn latents before they are decoded."""

from typing import Literal

from pydantic import Field

from schemas.records import Record

RefineTarget = Literal["labels", "prompts", "ensemble"]
"""What decoded networks should answer: the images' labels, what the prompt that each stands on
answers, or the mean answer of all prompts."""


class RefineConfig(Record):
    """Test-time refinement of a sampler's latents; encoder and decoder stay as they are."""

    steps: int = Field(default=10, ge=0, description="gradient steps of Adam; 0 changes nothing")
    learning_rate: float = Field(
        default=0.05, gt=0, description="of Adam, in std of the training latents"
    )
    images: int = Field(default=64, ge=1, description="train images of a step, drawn anew for each")
    target: RefineTarget = Field(
        default="ensemble",
        description="what decoded networks should answer: the labels of the train images "
        "(cross-entropy) or, without any label, what the prompt that a sample stands on answers, "
        "or the mean of all prompts' probabilities (Kullback-Leibler divergence)",
    )
    pull: float = Field(
        default=0.0,
        ge=0,
        description="weight of the mean squared distance to the drawn latents, in std of the "
        "training latents",
    )
