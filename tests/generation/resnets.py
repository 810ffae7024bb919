"""Tiny ResNets as the stages that generation reads would hold them; their weights are random."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.generation.material import Sources
from sane_core.images.files import write_images
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from schemas.config.embed import EmbedConfig
from schemas.config.generate import GenerateConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.training import TrainingConfig
from tests.api.stages import CONFIG as AUTOENCODER
from tests.api.stages import D_T, RESNET, write_zoo

ARCHITECTURE = architecture_named(RESNET)
EPOCHS = (0, 2)
EMBED = EmbedConfig(chunk=90, halo=4)
RECIPE = TrainingConfig(batch=10, epochs=1, optimizer="sgd", learning_rate=0.01, flip=True, crop=1)
CONFIG = GenerateConfig(
    prompt_epoch=2,
    candidates=4,
    keep=2,
    seeds=1,
    conditioning_batches=2,
    conditioning_batch=8,
    noise_sizes=(),
    interpolations=(),
    finetune_epochs=(),
    ablate=True,
)


def write_stages(folder: Path, batch_norm: str = "affine") -> Sources:
    """Three train runs at two epochs, noise as images, an untrained autoencoder."""
    zoo, tokens = write_zoo(folder / "zoo", RESNET, "resnets"), folder / "tokens"
    tokens.mkdir()
    config = PreprocessConfig(d_t=D_T, batch_norm=batch_norm)
    preprocess_zoo(zoo, config, 0, PlainWork(tokens, folder / "scratch"))
    (folder / "images").mkdir()
    write_images(folder / "images", noise_images(ARCHITECTURE.input_shape), "noise", 10, "")
    return Sources(folder / "images", tokens, write_model(folder / "model"), zoo)


def write_model(folder: Path) -> Path:
    """An autoencoder whose tables hold these ResNets' batch norms too."""
    folder.mkdir()
    shape = AutoencoderShape(D_T, 8, (1500, 70, 200))
    save_file(build(shape, AUTOENCODER, 0).state_dict(), folder / "model.safetensors")
    described = {"shape": asdict(shape), "autoencoder": AUTOENCODER.model_dump(), "best_epoch": 0}
    (folder / "config.json").write_text(json.dumps(described))
    return folder


def noise_images(shape: tuple[int, int, int], classes: int = 10) -> dict[str, Images]:
    rng = np.random.default_rng(0)
    return {
        part: Images(
            rng.integers(0, 256, (30, *shape), np.uint8),
            rng.permutation(np.arange(30) % classes),
            scale=1 / 255,
        )
        for part in ("train", "validation", "test")
    }
