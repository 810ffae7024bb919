"""Sizes of SANE by name, with the published training recipe (paper Table 8).

A benchmark's `preset: cnn` stands for the preset's windows, autoencoder, training and embedding;
what else the benchmark says goes over it, key by key.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field

from schemas.config.embed import EmbedConfig
from schemas.config.pretrain import PretrainConfig
from schemas.records import Record


class Preset(Record):
    """A size of SANE; what a record leaves unset is not the preset's to say."""

    name: str
    about: str = Field(description="what it is, in a sentence")
    d_t: int = Field(default=0, ge=0, description="token size; 0 = the largest row")
    window: int | None = Field(default=None, ge=1, description="tokens; None = whole networks")
    pretrain: PretrainConfig = PretrainConfig()
    embed: EmbedConfig = EmbedConfig()

    def defaults(self) -> dict[str, dict[str, Any]]:
        """Return what it says of a benchmark: section -> field -> plain value."""
        windows = {"whole": True} if self.window is None else {"length": self.window}
        sections = {
            "preprocess": {"d_t": self.d_t} if self.d_t else {},
            "windows": windows,
            "pretrain": self.pretrain.model_dump(mode="json", exclude_unset=True),
            "embed": self.embed.model_dump(mode="json", exclude_unset=True),
        }
        return {name: section for name, section in sections.items() if section}


def _published(**autoencoder: int | str) -> PretrainConfig:
    """Return the published recipe: AdamW, OneCycle, γ 0.05, τ 0.1, noise 0.1.

    Differs from the published code: the precision is chosen by the processor (bfloat16 where there
    is one), not float16, and the target is the clean view.
    """
    return PretrainConfig.model_validate(
        {
            "autoencoder": autoencoder,
            "epochs": 50,
            "batch": 32,
            "learning_rate": 1e-4,
            "weight_decay": 3e-9,
            "gamma": 0.05,
            "temperature": 0.1,
            "noise": 0.1,
        }
    )


_ALL = (
    Preset(name="tiny", about="Trains on a CPU in minutes.", window=16),
    Preset(
        name="cnn",
        about="Table 8, CNN zoos.",
        window=32,
        pretrain=_published(d_model=1024, heads=8, layers=4, d_z=128),
        embed=EmbedConfig(chunk=16, halo=8),
    ),
    Preset(
        name="cnn-code",
        about="CNN zoos as the published code has them: twice as deep, twice the window.",
        window=64,
        pretrain=_published(d_model=1024, heads=8, layers=8, d_z=128),
        embed=EmbedConfig(chunk=32, halo=16),
    ),
    Preset(
        name="resnet18",
        about="Table 8, ResNet-18 zoos; heads as the published code has them.",
        d_t=288,
        window=256,
        pretrain=_published(d_model=2048, heads=16, layers=8, d_z=128),
        embed=EmbedConfig(chunk=128, halo=64),
    ),
    Preset(
        name="global",
        about="The earlier hyper-representations: one latent vector per network; size ours.",
        pretrain=_published(d_model=256, heads=8, layers=4, d_z=256, bottleneck="model"),
        embed=EmbedConfig(chunk=2**20, halo=0),
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""Every preset by name. A pass of an embedding (chunk and both halos) is as long as a window."""


def preset_named(name: object) -> Preset:
    """Return a preset.

    Raises:
        ValueError: If there is no such preset; names those there are.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


def with_preset(benchmark: object) -> object:
    """Lay what a mapping says over the preset that its key `preset` names.

    Args:
        benchmark: What a benchmark's file says; without that key, or if it is no mapping, it is
            returned as it is.

    Returns:
        Plain nested dictionaries; laid over the preset again, they stay what they are.

    Raises:
        ValueError: If there is no such preset.
    """
    if not isinstance(benchmark, Mapping) or benchmark.get("preset") is None:
        return benchmark
    return with_below(benchmark, preset_named(benchmark["preset"]).defaults())


def with_below(above: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what a mapping says, records in it included, over other defaults than the schema's."""
    return _over(below, above)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; what is above wins."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Record):
            value = value.model_dump(mode="json", exclude_unset=True)
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _over(merged[key], value) if both else value
    return merged
