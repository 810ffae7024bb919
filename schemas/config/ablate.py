"""Configuration of the ablations: views and alignment, window sizes, windows at inference."""

from pydantic import Field, field_validator, model_validator

from schemas.config.pretrain import PretrainConfig, View
from schemas.config.windows import WindowsConfig
from schemas.records import Record


class ViewSetting(Record):
    """A row of Table 6: whether the zoo is aligned, and what the two views of a window are."""

    aligned: bool
    first: View
    second: View

    @property
    def name(self) -> str:
        """Its name in runs and metrics."""
        return f"{'aligned' if self.aligned else 'unaligned'}-{self.first}-{self.second}"


VIEW_SETTINGS = (
    ViewSetting(aligned=False, first="permuted", second="permuted"),
    ViewSetting(aligned=True, first="permuted", second="permuted"),
    ViewSetting(aligned=True, first="aligned", second="permuted"),
    ViewSetting(aligned=True, first="aligned", second="aligned"),
)
"""The rows of Table 6, in its order."""


class AblateConfig(Record):
    """What is trained or run otherwise, all else equal."""

    views: bool = Field(
        default=False, description="train with and without alignment and permuted views, Table 6"
    )
    window_sizes: tuple[int, ...] = Field(
        default=(), description="train on windows of these lengths, in tokens, at equal compute"
    )
    inference_windows: tuple[int, ...] = Field(
        default=(),
        description="evaluate in windows of these lengths, 0 for whole models, Figure 6",
    )
    epochs: int | None = Field(
        default=None, ge=1, description="of the trainings; those of pretrain if not given"
    )

    @field_validator("window_sizes")
    @classmethod
    def _order_sizes(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return _ascending(sizes, least=1)

    @field_validator("inference_windows")
    @classmethod
    def _order_windows(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        return _ascending(windows, least=0)

    @property
    def trains(self) -> bool:
        """Whether any ablation trains."""
        return self.views or bool(self.window_sizes)

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return self.trains or bool(self.inference_windows)

    def schedule(self, pretrain: PretrainConfig) -> PretrainConfig:
        """Return how a single zoo is trained on in an ablation."""
        changed = {"weights": ()} | ({"epochs": self.epochs} if self.epochs else {})
        return pretrain.model_copy(update=changed)

    def of_views(self, pretrain: PretrainConfig, setting: ViewSetting) -> PretrainConfig:
        """Return the training of a row of Table 6."""
        views = {"first_view": setting.first, "second_view": setting.second}
        return self.schedule(pretrain).model_copy(update=views)

    def of_size(
        self, windows: WindowsConfig, pretrain: PretrainConfig, length: int
    ) -> tuple[WindowsConfig, PretrainConfig]:
        """Return windows of a length, and their training at the compute of the shortest ones.

        Stratified windows hold every token of every checkpoint once, so as many epochs are as many
        tokens seen. `pretrain.batch` is that of the shortest windows; longer ones come in smaller
        batches of as many tokens, so that there are about as many steps too (windows at the ends
        are padded), until a part of a batch has the two windows that the contrastive loss needs.
        """
        parts = pretrain.accumulate * pretrain.processes
        share = pretrain.batch * min(self.window_sizes) / (length * parts)
        batch = parts * max(2, round(share))
        changed = {"length": length, "starts": "stratified", "whole": False}
        return (
            windows.model_copy(update=changed),
            self.schedule(pretrain).model_copy(update={"batch": batch}),
        )

    @model_validator(mode="after")
    def _use_the_epochs(self) -> "AblateConfig":
        if self.epochs is not None and not self.trains:
            raise ValueError(
                "epochs is that of ablations that train: choose views or window_sizes, or leave it"
            )
        return self


def _ascending(lengths: tuple[int, ...], least: int) -> tuple[int, ...]:
    if any(length < least for length in lengths) or len(set(lengths)) < len(lengths):
        raise ValueError(f"lengths must be different and >= {least}, got {list(lengths)}")
    return tuple(sorted(lengths))
