"""Untrained networks, random images, and where a small zoo of them lies."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.generation.material import Sources
from sane_core.generation.sharpen_zoo import CONFIG
from sane_core.generation.transfer import TransferSources
from sane_core.images.files import write_images
from sane_core.images.images import Images
from sane_core.weights.layers import layers_of
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from schemas.config.sharpen import SharpenConfig
from schemas.config.training import TrainingConfig

CNN = architecture_named("digits-cnn")
RESNET = architecture_named("resnet18[width=2,size=8]")
LAYERS = layers_of(CNN.shapes())
D_T = 73


@dataclass(frozen=True)
class Folders:
    """Where a small zoo, its SANE and images of several tasks lie."""

    root: Path

    def sources(self, images: str, model: str = "model", **others: Path) -> TransferSources:
        """Return what a transfer to these images reads, with other decoders by name."""
        zoo = Sources(self.root / "zoo-images", self.root / "tokens", self.root / model, self.root)
        return TransferSources(replace(zoo, others=others), self.root / images)


def sharpened(model, folder, **changes):
    """Copy an untrained SANE as one that says it was sharpened."""
    shutil.copytree(model, folder)
    described = json.loads((folder / CONFIG).read_text())
    config = SharpenConfig.model_validate(changes).model_dump(mode="json", exclude={"device"})
    (folder / CONFIG).write_text(json.dumps(described | {"sharpened": config}))
    return folder


def drawn(architecture, count, seed=0):
    """Return untrained networks, their biases and batch norms moved off their start."""
    start = initialize(architecture, members_of(TrainingConfig(), range(count), seed), seed)
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (values + 0.2 * torch.rand(values.shape, generator=generator)).numpy()
        if values.is_floating_point()
        else values.numpy()
        for name, values in start.items()
    }


def pictures(count, shape, seed, classes=10):
    """Return random images, no two alike."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, *shape), np.uint8)
    return Images(pixels, np.arange(count) % classes, scale=1 / 255)


def parts(shape=(1, 8, 8), seed=0, classes=10):
    """Return train, validation and test images."""
    sizes = {"train": 40, "validation": 24, "test": 20}
    return {
        part: pictures(size, shape, 10 * seed + i, classes)
        for i, (part, size) in enumerate(sizes.items())
    }


def put(folder, images):
    """Write images where a stage would."""
    folder.mkdir()
    write_images(folder, images, "random")
