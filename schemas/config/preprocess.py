"""Configuration of the preprocess stage: align, standardize, tokenize."""

from typing import Literal

from pydantic import Field

from schemas.records import Record


class PreprocessConfig(Record):
    """Paper §2, "Model Alignment" and "To tokenize weights"."""

    align: bool = Field(default=True, description="match every run to one reference model")
    signs: bool = Field(
        default=False,
        description="let units flip their sign as well where all operations on them are odd",
    )
    max_sweeps: int = Field(default=100, ge=1, description="coordinate-descent sweeps at most")
    standardize: Literal["per_layer", "minmax", "none"] = Field(
        default="per_layer",
        description="each layer to mean 0 and deviation 1, to [-1, 1], or as it is",
    )
    batch_norm: Literal["exclude", "affine"] = Field(
        default="exclude",
        description="leave batch norms out of the tokens, or cut their scale and shift",
    )
    d_t: int = Field(default=0, ge=0, description="token size; 0 is the largest row of the zoo")
    dtype: Literal["float32", "float16"] = Field(
        default="float32", description="precision in which tokens are stored"
    )
