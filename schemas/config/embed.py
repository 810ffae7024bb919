"""Configuration of the embed stage."""

from pydantic import Field

from schemas.records import Record


class EmbedConfig(Record):
    """Algorithm 2."""

    chunk: int = Field(default=256, ge=1, description="tokens per chunk that are kept")
    halo: int = Field(default=32, ge=0, description="context tokens on either side of a chunk")
    batch: int = Field(default=256, ge=1, description="chunks per forward pass")
