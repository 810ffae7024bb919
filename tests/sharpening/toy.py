"""A small zoo of trained networks on disk, its images, and an autoencoder to sharpen."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save_file

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.generation.sharpen_zoo import SharpenSources
from sane_core.images.files import write_images
from sane_core.images.images import Images
from sane_core.pretraining.autoencoder import AutoencoderShape, build
from sane_core.weights.files import read_layers
from sane_core.weights.layers import token_count
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.streaming import token_size
from sane_core.weights.work import PlainWork
from sane_core.zoo.population.initialize import initialize
from sane_core.zoo.population.members import members_of
from sane_core.zoo.population.train import train
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.preprocess import PreprocessConfig
from schemas.config.pretrain import AutoencoderConfig
from schemas.config.sharpen import SharpenConfig
from schemas.config.training import TrainingConfig
from schemas.tables import CHECKPOINTS

DIGITS_CNN = architecture_named("digits-cnn")
RESNET = architecture_named("resnet18[channels=1,size=8,width=2]")
AUTOENCODER = AutoencoderConfig(d_model=16, heads=2, layers=1, d_z=8, d_projection=4)
EPOCHS = (1, 3)
SPLITS = ("train", "train", "train", "validation", "test")


def configured(**changes: object) -> SharpenConfig:
    """Return a short sharpening on the toy zoo's last epoch, in float32, on the CPU."""
    known = {"steps": 30, "first_epoch": 3, "last_epoch": 3, "networks": 4, "images": 32}
    plain = {"learning_rate": 5e-3, "precision": "float32", "device": "cpu"}
    targets = {"targets": (changes.pop("target", "labels"),)}
    return SharpenConfig(**{**known, **plain, **targets, **changes})


def make_sources(
    folder: Path, architecture: Architecture, images: dict[str, Images], d_t: int = 0
) -> SharpenSources:
    """Train five networks, tokenize them, and build an autoencoder of no training."""
    sources = SharpenSources(
        images=folder / "images",
        tokens=folder / "tokens",
        model=folder / "model",
        zoo=folder / "zoo",
    )
    for path in (sources.images, sources.tokens, sources.model):
        path.mkdir(parents=True)
    write_images(sources.images, images)
    write_zoo(folder / "zoo", architecture, images)
    work = PlainWork(sources.tokens, folder / "scratch")
    preprocess_zoo(folder / "zoo", PreprocessConfig(d_t=d_t), 0, work)
    write_model(sources)
    return sources


def write_zoo(folder: Path, architecture: Architecture, images: dict[str, Images]) -> None:
    """Write five runs of an architecture, at two epochs."""
    (folder / "weights").mkdir(parents=True)
    config = TrainingConfig(epochs=max(EPOCHS), batch=20, learning_rate=5e-3)
    members = members_of(config, range(len(SPLITS)), 0)
    start = initialize(architecture, members, 0)
    with ShardWriter(folder / "weights" / "part-00000.parquet", RowGroup()) as writer:

        def keep(epoch: int, population) -> None:
            for run in range(len(SPLITS)) if epoch in EPOCHS else ():
                own = {n: v[run].numpy() for n, v in population.items() if v.is_floating_point()}
                writer.add(run, epoch, own, dict.fromkeys(own, "float32"))

        train(architecture, start, images["train"], members, config, 0, on_epoch=keep)
    pairs = [(run, epoch) for run in range(len(SPLITS)) for epoch in EPOCHS]
    known = {
        "run": [run for run, _ in pairs],
        "epoch": [epoch for _, epoch in pairs],
        "split": [SPLITS[run] for run, _ in pairs],
        "architecture": [architecture.name] * len(pairs),
        "test_accuracy": [0.1 * run for run, _ in pairs],
    }
    columns = [pa.array(known.get(f.name, [None] * len(pairs)), f.type) for f in CHECKPOINTS]
    pq.write_table(pa.table(columns, schema=CHECKPOINTS), folder / "checkpoints.parquet")


def write_model(sources: SharpenSources) -> None:
    """Write an autoencoder as pretraining does, of the weights that it began with."""
    d_t = token_size(sources.tokens / "tokens")
    layers = read_layers(sources.tokens / "layers.parquet")
    length = token_count(layers, d_t)
    largest = max(layer.tokens(d_t) for layer in layers)
    shape = AutoencoderShape(d_t, min(length, 48), (length, len(layers), largest))
    described = {"shape": asdict(shape), "autoencoder": AUTOENCODER.model_dump(mode="json")}
    (sources.model / "config.json").write_text(json.dumps(described))
    save_file(build(shape, AUTOENCODER, 0).state_dict(), sources.model / "model.safetensors")
    history = pa.table({"epoch": [1], "validation_loss": [1.0]})
    pq.write_table(history, sources.model / "history.parquet")
