"""Configuration of the sharpen stage: the decoder, trained on what its own noisy samples answer."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.config.samplers import Decoder
from schemas.records import Record

Target = Literal["labels", "prompts"]
"""What decoded networks should answer: the images' labels, or what their own prompts answer."""

NoiseCoupling = Literal["shared_noise", "model"]
"""How noise on a network's latents is drawn: once for all its tokens, or for each of them."""

DECODERS: dict[Target, Decoder] = {"labels": "sharpened", "prompts": "sharpened_unlabelled"}
"""What generation calls the decoder."""


class SharpenConfig(Record):
    """Sharpening: gradient steps of the decoder alone, between pretraining and generation."""

    steps: int = Field(default=0, ge=0, description="gradient steps; 0 leaves the stage out")
    targets: tuple[Target, ...] = Field(
        default=("labels", "prompts"),
        min_length=1,
        description="a decoder each: one learns the labels of the train images (cross-entropy), "
        "one, without any label, what the network that a sample stands on answers "
        "(Kullback-Leibler divergence)",
    )
    first_epoch: int = Field(default=21, ge=0, description="first epoch of the train checkpoints")
    last_epoch: int = Field(default=25, ge=0, description="their last epoch")
    bandwidth: float = Field(
        default=1.0,
        ge=0,
        description="largest h of the noise, in std of these checkpoints' latents; each sample "
        "draws its own between 0 and this",
    )
    couplings: tuple[NoiseCoupling, ...] = Field(
        default=("shared_noise", "model"), min_length=1, description="of the noise, in turn"
    )
    networks: int = Field(default=32, ge=1, description="networks decoded in a step")
    images: int = Field(default=64, ge=1, description="train images that each of them answers")
    reconstruction: float = Field(
        default=0.3, ge=0, description="weight of the masked reconstruction, without noise"
    )
    learning_rate: float = Field(default=6e-4, gt=0, description="peak of the OneCycle schedule")
    weight_decay: float = Field(default=0.0, ge=0)
    memory_mb: int = Field(
        default=4000,
        ge=1,
        description="megabytes of train checkpoints kept to draw from; where there are more, a "
        "part of them is drawn once",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: a GPU where there is one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="of the decoder; auto: bfloat16 where the processor has it, else float32",
    )
    save_minutes: float = Field(default=1, ge=0, description="from one resumable state to the next")

    @property
    def target(self) -> Target:
        """The target of a decoder, where there is one."""
        return self.targets[0]

    def each(self) -> "tuple[SharpenConfig, ...]":
        """Return the configuration of each decoder."""
        return tuple(self.model_copy(update={"targets": (target,)}) for target in self.targets)

    def images_seen(self, available: int) -> int:
        """Return how many images decoded networks answer, each once per network.

        Args:
            available: Train images there are.
        """
        return self.steps * self.networks * min(self.images, available)

    @model_validator(mode="after")
    def _name_targets_once(self) -> "SharpenConfig":
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets must be named once each, got {', '.join(self.targets)}")
        return self

    @model_validator(mode="after")
    def _span_epochs(self) -> "SharpenConfig":
        if self.first_epoch > self.last_epoch:
            raise ValueError(
                f"first_epoch must be <= last_epoch ({self.last_epoch}), got {self.first_epoch}"
            )
        return self
