"""Configuration of the embed stage."""

from typing import Literal

from pydantic import Field, field_validator

from schemas.records import Record

Pooling = Literal["mean", "mean_std", "layers", "quantiles", "full"]
"""How the latents of a model's tokens become one embedding."""

POOLINGS: tuple[Pooling, ...] = ("mean", "mean_std", "layers", "quantiles", "full")
"""Every one of them, the paper's first."""


class EmbedConfig(Record):
    """Algorithm 2."""

    chunk: int = Field(default=256, ge=1, description="tokens per chunk that are kept")
    halo: int = Field(default=32, ge=0, description="context tokens on either side of a chunk")
    batch: int = Field(default=256, ge=1, description="chunks that are in memory at once")
    poolings: tuple[Pooling, ...] = Field(
        default=POOLINGS, min_length=1, description="embeddings that are made, each a column"
    )
    views: int = Field(
        default=1,
        ge=1,
        description="frames that a network is embedded in, and embeddings averaged over: its "
        "aligned one, and function-preserving permutations of it; 1 is the aligned one alone",
    )
    tokens: bool = Field(default=False, description="also write the latents of every token")

    @field_validator("poolings")
    @classmethod
    def _once_each(cls, poolings: tuple[Pooling, ...]) -> tuple[Pooling, ...]:
        if len(set(poolings)) < len(poolings):
            raise ValueError(f"poolings must be named once each, got {', '.join(poolings)}")
        return poolings

    def passes(self) -> "EmbedConfig":
        """Return the sizes of the passes alone, for stages that pool nothing and write no tokens.

        Their keys then do not depend on what embeddings are made.
        """
        return EmbedConfig(chunk=self.chunk, halo=self.halo, batch=self.batch)

    def embedding(self) -> "EmbedConfig":
        """Return the sizes of the passes and the views, for stages that embed further networks."""
        return self.passes().model_copy(update={"views": self.views})
