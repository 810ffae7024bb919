"""A trained SANE on disk.

- `model.safetensors`: weights of the epoch with the lowest validation loss, in `config.json`.
- `last.safetensors`, `optimizer.safetensors`: weights and moments after the last step.
- `config.json`: what `Autoencoder` is built from, and what it was trained with; how it was
  sharpened, if it was.
- `history.parquet`: a row per epoch.

`load(save(model)) == model`, bit for bit; nothing is unpickled. Equal training gives equal files:
what depends on the machine is not in them.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape
from sane_core.pretraining.history import Pretrained
from sane_core.pretraining.positions import position_embedding
from schemas.config.pretrain import AutoencoderConfig, PretrainConfig
from schemas.config.sharpen import SharpenConfig

BEST, LAST, OPTIMIZER = "model.safetensors", "last.safetensors", "optimizer.safetensors"
HOW = {"device", "processes", "compile", "save_minutes"}
"""Fields of `PretrainConfig` that say how it was trained, not what."""


def save(folder: Path, trained: Pretrained, config: PretrainConfig) -> None:
    """Write a trained autoencoder, its history, and what training could be continued with."""
    _save_tensors(folder / BEST, trained.model.state_dict())
    _save_tensors(folder / LAST, trained.last)
    _save_tensors(folder / OPTIMIZER, trained.optimizer)
    described = {
        "shape": asdict(trained.model.shape),
        "autoencoder": config.autoencoder.model_dump(mode="json"),
        "training": config.model_dump(mode="json", exclude={"autoencoder", *HOW}),
        "best_epoch": trained.best_epoch,
    }
    (folder / "config.json").write_text(json.dumps(described, indent=2, sort_keys=True))
    history = pa.Table.from_pylist([record.row() for record in trained.history])
    pq.write_table(history, folder / "history.parquet")


def load(folder: Path, *, last: bool = False) -> Autoencoder:
    """Read an autoencoder, ready for inference.

    Its weights are those of the file itself, mapped into memory: what is never used, as the decoder
    where networks are embedded, is never read, and there is no second copy.

    Args:
        folder: Where `save` wrote.
        last: Take the weights after the last step, not those of the best epoch.
    """
    shape, config = read_config(folder)
    with torch.device("meta"):
        model = Autoencoder(shape, config)
    # Of the positions some buffers are in no file.
    model.positions = position_embedding(shape.positions, config)
    model.load_state_dict(load_file(folder / (LAST if last else BEST)), assign=True)
    return model.eval()


def read_config(folder: Path) -> tuple[AutoencoderShape, AutoencoderConfig]:
    """Read what `Autoencoder` is built from."""
    described = json.loads((folder / "config.json").read_text())
    shape = AutoencoderShape.from_json(described["shape"])
    return shape, AutoencoderConfig(**described["autoencoder"])


def read_sharpening(folder: Path) -> SharpenConfig | None:
    """Read how the decoder was sharpened; None where it was not."""
    found = json.loads((folder / "config.json").read_text()).get("sharpened")
    return None if found is None else SharpenConfig.model_validate(found)


def _save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, path)
