"""Configuration of the preprocess stage: align, standardize, tokenize."""

from typing import Literal

from pydantic import Field

from schemas.records import Record


class PreprocessConfig(Record):
    """Paper §2, "Model Alignment" and "To tokenize weights"."""

    align: bool = Field(default=True, description="match every run to one reference model")
    max_sweeps: int = Field(default=100, ge=1, description="coordinate-descent sweeps at most")
    standardize: Literal["per_layer", "none"] = Field(default="per_layer")
    d_t: int = Field(default=0, ge=0, description="token size; 0 is the largest row of the zoo")
