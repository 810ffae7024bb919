"""Configuration of sampling from a trained SANE, in Python and in the shell (Algorithm 3)."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.config.refine import RefineConfig
from schemas.config.samplers import BANDWIDTH, Coupling
from schemas.records import Record

Method = Literal["sub", "boot", "gauss", "kde30"]
"""Subsampling, bootstrapping, a Gaussian prior without prompts, the best third of the prompts."""

Bandwidth = float | Literal["scott", "validation"]
"""In standard deviations of the training latents; or by Scott's rule, or the best on images."""

NEEDS_DATA = ("boot", "kde30")
"""Methods that select on the way, and so need images to select on."""


class SampleConfig(Record):
    """How many networks are drawn, from what, and which are kept."""

    n: int = Field(default=10, ge=1, description="networks kept, the best on validation images")
    candidates: int = Field(default=200, ge=1, description="networks drawn (in each round)")
    method: Method = Field(default="sub", description="what latents are drawn from")
    coupling: Coupling = Field(
        default="shared_noise", description="what tokens share, of sub and boot"
    )
    bandwidth: Bandwidth = Field(
        default=BANDWIDTH, description="h, in std of the training latents; or how it is chosen"
    )
    rounds: int = Field(default=3, ge=1, description="rounds of boot and gauss")
    seed: int = Field(default=0, ge=0, description="of every draw")
    conditioning_batches: int = Field(
        default=20, ge=1, description="batches of images that running statistics are measured on"
    )
    conditioning_batch: int = Field(default=128, ge=2, description="images of such a batch")
    conditioning_augmented: bool = Field(
        default=True,
        description="flip and crop these images as the networks' training did, where it is known",
    )
    refine: RefineConfig | None = Field(
        default=None, description="gradient steps on the drawn latents of every round"
    )

    @property
    def refined(self) -> bool:
        """Whether drawn latents take any gradient step."""
        return self.refine is not None and self.refine.steps > 0

    @property
    def refined_on_labels(self) -> bool:
        """Whether labels of train images say where these steps lead."""
        return self.refine is not None and self.refined and self.refine.target == "labels"

    @model_validator(mode="after")
    def _keep_no_more_than_drawn(self) -> "SampleConfig":
        if self.n > self.candidates:
            raise ValueError(f"n must be <= candidates ({self.candidates}), got {self.n}")
        return self

    @model_validator(mode="after")
    def _choose_a_bandwidth_that_is_one(self) -> "SampleConfig":
        if isinstance(self.bandwidth, str):
            if self.method == "gauss":
                raise ValueError(
                    f"bandwidth must be a number for method gauss, which has no prompts to choose "
                    f"it by, got {self.bandwidth}"
                )
        elif not 0 < self.bandwidth < float("inf"):
            raise ValueError(f"bandwidth must be finite and > 0, got {self.bandwidth}")
        return self
