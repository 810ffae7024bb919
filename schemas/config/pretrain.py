"""Configuration of the pretrain stage: the SANE autoencoder and its training."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.records import Record


class AutoencoderConfig(Record):
    """Shape of the autoencoder (SANE-FACTS §3, Table 8)."""

    d_model: int = Field(default=128, ge=2, description="width of the transformer")
    heads: int = Field(default=4, ge=1, description="attention heads")
    layers: int = Field(default=3, ge=1, description="blocks in the encoder, and in the decoder")
    d_z: int = Field(default=64, ge=1, description="latent dimensions per token")
    d_projection: int = Field(default=30, ge=2, description="width of the contrastive head")

    @model_validator(mode="after")
    def _divide_the_width(self) -> "AutoencoderConfig":
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(
                f"d_model must be even and a multiple of heads ({self.heads}), got {self.d_model}"
            )
        return self


class PretrainConfig(Record):
    """Algorithm 1, step v."""

    autoencoder: AutoencoderConfig = AutoencoderConfig()
    epochs: int = Field(default=14, ge=1)
    batch: int = Field(default=64, ge=2, description="windows per step, each in two views")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak of the OneCycle schedule")
    weight_decay: float = Field(default=3e-9, ge=0)
    gamma: float = Field(
        default=0.05, ge=0, le=1, description="weight of NT-Xent, (1-γ) Eq.5 + γ Eq.6"
    )
    temperature: float = Field(default=0.1, gt=0, description="τ of NT-Xent")
    noise: float = Field(default=0.1, ge=0, description="σ of the multiplicative noise x(1 + σε)")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 where the processor has it, else float32"
    )
