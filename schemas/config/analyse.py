"""Configuration of the analysis of layers (paper §4, appendix C)."""

from typing import Literal

from pydantic import Field

from schemas.records import Record


class AnalyseConfig(Record):
    """Which checkpoints are analysed, and whose eigenvalues are drawn."""

    epochs: Literal["ends", "all"] = Field(
        default="ends",
        description="checkpoints of a run: the first and the last that the zoo has, or all",
    )
    spectrum_layer: str | None = Field(
        default=None,
        min_length=1,
        description="layer whose eigenvalues and distances are drawn, as classifier.0; by default "
        "that with the most weights among those that have a spectrum",
    )
    spectrum_networks: int = Field(
        default=8, ge=1, description="networks of a zoo that these are of; the first by run number"
    )
    spectrum_tokens: int = Field(
        default=200, ge=2, description="tokens of that layer, drawn, whose distances are measured"
    )
