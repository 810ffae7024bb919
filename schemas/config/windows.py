"""Configuration of the windows stage: which checkpoints, how long, how many permuted views."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.records import Record


class WindowsConfig(Record):
    """Algorithm 1, step iv, compiled to FFCV."""

    length: int = Field(default=16, ge=1, description="window length W in tokens")
    whole: bool = Field(
        default=False, description="windows of whole networks; length is that of the longest then"
    )
    starts: Literal["stratified", "uniform"] = Field(default="stratified")
    first_epoch: int = Field(default=0, ge=0)
    last_epoch: int = Field(default=50, ge=0)
    epoch_step: int = Field(default=2, ge=1)
    views: int = Field(default=4, ge=1, description="permuted views kept beside the aligned one")
    dtype: Literal["float32", "float16"] = Field(default="float16", description="of stored tokens")
    shard_mb: int = Field(
        default=1024, ge=1, description="megabytes of tokens in a .beton, about; the rest goes on"
    )
    reader: Literal["ffcv", "numpy"] = Field(default="ffcv", description="who reads the .beton")

    @model_validator(mode="after")
    def _order_the_epochs(self) -> "WindowsConfig":
        if self.last_epoch < self.first_epoch:
            raise ValueError(
                f"last_epoch must be >= first_epoch ({self.first_epoch}), got {self.last_epoch}"
            )
        return self

    def epochs(self, last: int) -> tuple[int, ...]:
        """Return the epochs to cut windows from, in a zoo whose last epoch is `last`."""
        return tuple(range(self.first_epoch, min(self.last_epoch, last) + 1, self.epoch_step))
