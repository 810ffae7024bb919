"""A trained SANE on disk: `model.safetensors`, `config.json`, `history.parquet`.

`load(save(model)) == model`, bit for bit; nothing is unpickled.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file

from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape
from sane_core.pretraining.train import Pretrained
from schemas.config.pretrain import AutoencoderConfig


def save(folder: Path, trained: Pretrained, config: AutoencoderConfig) -> None:
    """Write a trained autoencoder and its history."""
    save_file(
        {name: value.contiguous() for name, value in trained.model.state_dict().items()},
        folder / "model.safetensors",
    )
    described = {
        "shape": asdict(trained.model.shape),
        "autoencoder": config.model_dump(mode="json"),
        "best_epoch": trained.best_epoch,
    }
    (folder / "config.json").write_text(json.dumps(described, indent=2, sort_keys=True))
    history = pa.Table.from_pylist([asdict(record) for record in trained.history])
    pq.write_table(history, folder / "history.parquet")


def load(folder: Path) -> Autoencoder:
    """Read an autoencoder, ready for inference."""
    model = Autoencoder(*read_config(folder))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def read_config(folder: Path) -> tuple[AutoencoderShape, AutoencoderConfig]:
    """Read what `Autoencoder` is built from."""
    described = json.loads((folder / "config.json").read_text())
    shape = AutoencoderShape.from_json(described["shape"])
    return shape, AutoencoderConfig(**described["autoencoder"])
