"""Table 8, generated: the hyper-parameters of the presets beside the published ones.

Parameters are counted by building the autoencoders on PyTorch's meta device, without memory.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch

from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape
from sane_core.reporting.table import Table
from schemas.config.presets import PRESETS, Preset

PUBLISHED_TABLES = (55_000, 100, 550)
"""Sizes of the position tables of the published ResNet-18 autoencoder."""
CNN3_TABLES = (93, 5, 32)
"""Sizes of the position tables that a zoo of CNN3s (the largest CNNs) needs."""

ROWS = (
    ("tokensize", "token size d_t"),
    ("window_size", "window in tokens"),
    ("d_model", "d_model"),
    ("latent_dim", "latent dimensions per token"),
    ("transformer_layers", "transformer layers, in encoder and decoder each"),
    ("transformer_heads", "attention heads"),
)
"""Row of the published table -> heading."""
COLUMNS = (("CNN", "cnn"), ("CNN", "cnn-code"), ("ResNet-18", "resnet18"))
"""Column of the published table, preset."""


@dataclass(frozen=True)
class Counted:
    """Parameters of an autoencoder.

    Attributes:
        all: Everything that is trained.
        positions: Of these, in the position tables.
        projection: Of these, in the contrastive head, which is dropped after training.
    """

    all: int
    positions: int
    projection: int


def count_parameters(preset: Preset, shape: AutoencoderShape) -> Counted:
    """Count a preset's parameters on data of a given shape.

    Args:
        preset: Its autoencoder.
        shape: Token size, window and tables.
    """
    with torch.device("meta"):
        model = Autoencoder(shape, preset.pretrain.autoencoder)
    parts = (model, model.positions, model.projection)
    return Counted(*(sum(p.numel() for p in part.parameters()) for part in parts))


def table8_shape(preset: Preset) -> AutoencoderShape:
    """Return the shape that Table 8 is for: CNN3s at d_t 289, ResNet-18s with published tables."""
    tables = PUBLISHED_TABLES if preset.d_t else CNN3_TABLES
    return AutoencoderShape(preset.d_t or 289, preset.window or CNN3_TABLES[0], tables)


def table8() -> Table:
    """Return Table 8: a row per hyper-parameter, ours and the paper's value beside each other."""
    columns = ["", *(f"{column} {who}" for _, column in COLUMNS for who in ("ours", "paper"))]
    published = _published()
    rows = []
    for key, heading in ROWS:
        cells = [heading]
        for column, name in COLUMNS:
            cells += [str(_ours(PRESETS[name])[key]), _text(published[key][column])]
        rows.append(tuple(cells))
    counted = [count_parameters(PRESETS[name], table8_shape(PRESETS[name])) for _, name in COLUMNS]
    for heading, field in (
        ("parameters, million", "all"),
        ("of these in position tables", "positions"),
    ):
        cells = [heading]
        for each in counted:
            cells += [f"{getattr(each, field) / 1e6:.1f}", ""]
        rows.append(tuple(cells))
    return Table("Hyper-parameters of SANE (Table 8)", tuple(columns), tuple(rows), NOTES)


NOTES = (
    "Parameters: both transformers, linear maps, projection head and position tables. Position "
    f"tables of the CNN presets have {', '.join(map(str, CNN3_TABLES))} places for n, l and k (a "
    f"zoo of CNN3s), those of resnet18 {', '.join(f'{size:,}' for size in PUBLISHED_TABLES)} (the "
    "published code's).",
    "The paper names 4 and 8 heads; its code has 16 for ResNet-18s, and for CNNs a deeper model "
    "and a longer window than the paper says (cnn-code).",
)


def _ours(preset: Preset) -> dict[str, int]:
    shape, config = table8_shape(preset), preset.pretrain.autoencoder
    return {
        "tokensize": shape.d_t,
        "window_size": shape.window,
        "d_model": config.d_model,
        "latent_dim": config.d_z,
        "transformer_layers": config.layers,
        "transformer_heads": config.heads,
    }


def _published() -> dict[str, dict[str, Any]]:
    text = files("sane_core.reporting").joinpath("paper_tables.json").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = json.loads(text)["tables"]["table8"]["rows"]
    return rows


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
