"""What stands in a bundle's `sane.json`: all of a trained SANE but its arrays of weights.

A description may come from a stranger. It is data: names in it never become paths, and it must
agree with itself before anything is built from it.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from sane_core.pretraining.autoencoder import AutoencoderShape
from sane_core.weights.layers import Layer, token_count
from sane_core.weights.standardize import Statistics
from sane_core.weights.symmetry.groups import PermutationGroup, check_groups
from sane_core.zoo.formats.refused import printable
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.config.sharpen import Target
from schemas.records import FileEntry, Record

FORMAT = 1
"""Version of the layout of a bundle."""

TrainLabels = Literal["used", "not read"]
"""Of labels of train images, as the manifests of sharpened models say it."""

_NUMBERS = ("mean", "std", "minimum", "maximum", "offset", "scale")


class StatisticsRecord(Record):
    """Per-layer statistics of a zoo's train split, one number per layer."""

    names: tuple[str, ...] = Field(description="layers, in the order of the network")
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    offset: tuple[float, ...] = Field(description="subtracted first")
    scale: tuple[float, ...] = Field(description="positive, divided by")

    @model_validator(mode="after")
    def _fit_together(self) -> "StatisticsRecord":
        if {len(getattr(self, name)) for name in _NUMBERS} != {len(self.names)}:
            raise ValueError("statistics must have one number per layer")
        if not all(scale > 0 for scale in self.scale):
            raise ValueError("scales must be positive")
        return self

    @classmethod
    def of(cls, statistics: Statistics) -> "StatisticsRecord":
        """Return the record of measured statistics."""
        numbers: dict[str, Any] = {n: getattr(statistics, n).tolist() for n in _NUMBERS}
        return cls(names=statistics.names, **numbers)

    def measured(self) -> Statistics:
        """Return what `of` was given, bit for bit."""
        return Statistics(self.names, *(np.array(getattr(self, n), np.float64) for n in _NUMBERS))


class LatentRecord(Record):
    """Moments of a zoo's latents over all tokens of networks of its train split, by dimension."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> "LatentRecord":
        if len(self.mean) != len(self.std) or not np.isfinite((*self.mean, *self.std)).all():
            raise ValueError("latents must have one finite mean and deviation per dimension")
        if min(self.std, default=0) < 0:
            raise ValueError("deviations of latents must be >= 0")
        return self


class ZooRecord(Record):
    """A zoo that a SANE was trained on: its architecture, statistics and reference model."""

    name: str = Field(description="name of the zoo")
    architecture: str = Field(description="canonical specification; never imported from here")
    input_shape: tuple[int, int, int] = Field(description="channels, height, width")
    parameters: dict[str, tuple[int, ...]] = Field(description="trained entry -> shape")
    buffers: dict[str, tuple[int, ...]] = Field(description="buffer -> shape")
    layers: tuple[Layer, ...] = Field(description="what tokens are cut from")
    groups: tuple[PermutationGroup, ...] = Field(description="units that may be permuted")
    statistics: StatisticsRecord = Field(description="of the train split")
    run: int = Field(ge=0, description="run of the reference model")
    epoch: int = Field(ge=0, description="epoch of the reference model")
    augmented: Augmented | None = Field(
        default=None, description="of the images its networks were trained on; null: not known"
    )
    latents: LatentRecord | None = Field(
        default=None, description="of the train split; sampling without prompts needs them"
    )

    @model_validator(mode="after")
    def _agree(self) -> "ZooRecord":
        for layer in self.layers:
            shapes = {layer.weight: layer.shape} | (
                {layer.bias: layer.shape[:1]} if layer.bias is not None else {}
            )
            for name, shape in shapes.items():
                if self.parameters.get(name) != shape:
                    raise ValueError(
                        f"layer {layer.name} must be cut from entry {name} of shape {list(shape)}, "
                        f"got {self.parameters.get(name)}"
                    )
        if [layer.l for layer in self.layers] != list(range(len(self.layers))) or not self.layers:
            raise ValueError("layers must be counted from 0, at least one")
        if self.statistics.names != tuple(layer.name for layer in self.layers):
            raise ValueError("statistics must be of the layers, in their order")
        shapes = self.parameters | self.buffers
        for group in self.groups:
            _check_size(group, shapes)
        check_groups(self.groups, shapes)
        return self

    def fits(self, shapes: dict[str, tuple[int, ...]]) -> bool:
        """Say whether a state dict has these entries; buffers may be left out."""
        known = self.parameters | self.buffers
        return self.parameters.keys() <= shapes.keys() and all(
            known.get(name) == shape for name, shape in shapes.items()
        )


class Description(Record):
    """A trained SANE, whole but for the numbers in its files."""

    # A metric may be infinite or not a number; strings keep the file valid JSON, and read back.
    model_config = ConfigDict(ser_json_inf_nan="strings")

    format: Literal[1] = Field(default=1, description="version of the layout")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="what it is called")
    licence: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.+-]*$", description="SPDX identifier, in lower case"
    )
    shape: AutoencoderShape = Field(description="token size, window, positions")
    autoencoder: AutoencoderConfig
    preprocess: PreprocessConfig = Field(description="as the zoos were made into tokens")
    embed: EmbedConfig = Field(default=EmbedConfig(), description="chunk, halo, views")
    seed: int = Field(ge=0, description="of the alignment (the order of its groups) and of views")
    zoos: tuple[ZooRecord, ...] = Field(min_length=1)
    sharpened: Target | None = Field(
        default=None,
        description="what its decoder was sharpened on: the labels of train images, or what "
        "prompts answer; null: it was not",
    )
    metrics: dict[str, float] = Field(default={}, description="measured on held-out runs")
    files: dict[str, FileEntry] = Field(default={}, description="of the bundle, by name")

    @model_validator(mode="after")
    def _tell_zoos_apart(self) -> "Description":
        names = [zoo.name for zoo in self.zoos]
        if len(set(names)) != len(names):
            raise ValueError(f"zoos must have different names, got {', '.join(names)}")
        d_z = self.autoencoder.d_z
        if any(zoo.latents and len(zoo.latents.mean) != d_z for zoo in self.zoos):
            raise ValueError(f"moments of latents must be of {d_z} dimensions")
        return self

    @property
    def train_labels(self) -> TrainLabels:
        """Whether its decoder has been trained on labels of train images."""
        return "used" if self.sharpened == "labels" else "not read"

    def latents_per_weight(self, zoo: ZooRecord) -> float:
        """Return the latent dimensions that there are for each weight of a zoo's networks."""
        weights = sum(layer.size for layer in zoo.layers)
        whole = self.autoencoder.bottleneck == "model"
        latents = 1 if whole else token_count(zoo.layers, self.shape.d_t)
        return latents * self.autoencoder.d_z / weights


def _check_size(group: PermutationGroup, shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse a group before its indices are laid out, which a claim could make any number of."""
    for axis in group.axes:
        shape = shapes.get(axis.entry, ())
        length = shape[axis.axis] if 0 <= axis.axis < len(shape) else 0
        numbers = (group.size - 1, axis.start, axis.step, *sum(axis.repeats, ()), axis.block - 1)
        if min(numbers) < 0 or group.size * axis.block > length:
            raise ValueError(
                f"group {group.name} must lie within axis {axis.axis} of {axis.entry}, which has "
                f"{length} indices"
            )


def first_error(error: ValidationError) -> str:
    """Return where a description is wrong, and how, in one line that is safe to show."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "description"
    return f"{printable(place)}: {printable(first['msg'])}"


def zoo_names(zoos: Sequence[ZooRecord]) -> str:
    """Return the zoos for a message: `mnist-cnn (cnn), other (resnet18[width=8])`."""
    return ", ".join(f"{zoo.name} ({zoo.architecture})" for zoo in zoos)
