"""Sharpen a trained SANE on a zoo's train networks and train images; a model folder comes out.

`model.safetensors` (and `last.safetensors`, the same), `config.json` and `history.parquet` are what
a pretrained SANE has, so that whatever takes one takes the sharpened one; encoder, position
embedding and projection head are those of the model given, bit for bit. `sharpening.parquet` is
the curve, `optimizer.safetensors` the moments of the decoder.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.embed import encode, has_one_latent, whole_models
from sane_core.embedding.with_gradient import decode_with_gradient
from sane_core.generation.sharpen import Sharpened, sharpen
from sane_core.generation.sharpen_loss import Sharpening
from sane_core.images.files import read_images
from sane_core.images.images import Images
from sane_core.pretraining.answers import Answers
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.behaviour import read_others, read_train
from sane_core.pretraining.devices import choose_device
from sane_core.pretraining.files import BEST, LAST, OPTIMIZER, load, read_sharpening
from sane_core.seeding import rng_for, seed_for
from sane_core.weights.files import read_layers, read_statistics
from sane_core.weights.streaming import places_of
from sane_core.zoo.population.outputs import classes_of
from schemas.config.embed import EmbedConfig
from schemas.config.sharpen import SharpenConfig

CURVE = "sharpening.parquet"
HISTORY, CONFIG = "history.parquet", "config.json"
HELD_OUT, HELD_OUT_IMAGES = 64, 512
"""Noisy samples, at least, that are scored before and after, and validation images, at most."""


@dataclass(frozen=True)
class SharpenSources:
    """Folders of the stages before.

    Attributes:
        images: Of the images stage.
        tokens: Of the preprocess stage.
        model: Of the pretrain stage.
        zoo: Of the zoo stage; needed where a network has weights that are in no token.
    """

    images: Path
    tokens: Path
    model: Path
    zoo: Path | None = None


@dataclass(frozen=True)
class Report:
    """What sharpening tells of itself.

    Attributes:
        metrics: `sharpen.*`, equal for equal runs.
        timings: Of this machine.
        facts: `sharpen.*`, by name.
    """

    metrics: dict[str, float]
    timings: dict[str, float]
    facts: dict[str, str]


def sharpen_on_zoo(
    sources: SharpenSources,
    config: SharpenConfig,
    embed: EmbedConfig,
    seed: int,
    folder: Path,
    *,
    scratch: Path | None = None,
    data: str = "",
    on_step: Callable[[int, int, float], None] | None = None,
) -> Report:
    """Sharpen a decoder and write it.

    Args:
        sources: What to sharpen, and on what.
        config: How.
        embed: Chunk and halo.
        seed: The run's seed.
        folder: Gets the model.
        scratch: Folder of the state to resume from.
        data: Digest of the sources.
        on_step: Called with (step, steps, target loss).

    Raises:
        ValueError: As `open_sharpening` and `sharpen`; if there are no steps to take, or several
            targets.
    """
    if not config.steps:
        raise ValueError("sharpen.steps must be >= 1 to sharpen, got 0; leave the stage out")
    if len(config.targets) > 1:
        raise ValueError(
            f"a decoder must have one target, got {', '.join(config.targets)}: sharpen one for each"
        )
    model = load(sources.model).to(choose_device(config.device))
    sharpening = open_sharpening(sources, model, config, embed, seed)
    validation = read_images(sources.images)["validation"]
    before = held_out_accuracy(model, sharpening, validation, seed)
    sharpened = sharpen(model, sharpening, seed, scratch=scratch, data=data, on_step=on_step)
    after = held_out_accuracy(model, sharpening, validation, seed)
    save_sharpened(folder, sources.model, sharpened, config)
    metrics = _metrics(sharpened, sharpening)
    metrics["sharpen.validation_accuracy.before"] = before
    metrics["sharpen.validation_accuracy.after"] = after
    return Report(metrics, _timings(sharpened), _facts(sharpened, config))


def open_sharpening(
    sources: SharpenSources,
    model: Autoencoder,
    config: SharpenConfig,
    embed: EmbedConfig,
    seed: int,
) -> Sharpening:
    """Read train checkpoints of the epochs asked for, encode them, and open the train images.

    Args:
        sources: Folders.
        model: Trained autoencoder.
        config: Epochs, memory, target.
        embed: Chunk and halo.
        seed: Draws the checkpoints where memory does not hold all of them.

    Raises:
        ValueError: If the train split has no checkpoint of these epochs, weights are missing, or
            the images do not fit the architecture.
    """
    table = sources.tokens / "layers.parquet"
    name = pq.read_table(table, columns=["architecture"])["architecture"][0].as_py()
    network, layers = architecture_named(name), read_layers(table)
    epochs = _epochs(sources.tokens, config)
    # Latents are kept as well, about as many numbers as tokens.
    train = read_train(sources.tokens, layers, epochs, max(1, config.memory_mb // 2), seed)
    others = {}
    if sources.zoo:
        others = read_others(sources.zoo, sources.tokens, network, layers, train.runs, train.epochs)
    answers = Answers(layers, read_statistics(table), network, others, batch_statistics=True)
    images = read_images(sources.images)["train"]
    answers.check_images(images)
    if config.target == "labels":
        _check_classes(answers, images)
    if has_one_latent(model):
        embed = whole_models(embed)
    latents = encode(model, train.values, train.positions, train.lengths, embed)
    scale = latents.std((0, 1), dtype=np.float64).astype(np.float32)
    return Sharpening(train, latents, scale, answers, images, embed, config)


@torch.no_grad()
def held_out_accuracy(
    model: Autoencoder, sharpening: Sharpening, images: Images, seed: int
) -> float:
    """Return the mean accuracy of noisy samples, the same ones whenever it is called.

    Args:
        model: Autoencoder.
        sharpening: Networks and noise; couplings take turns.
        images: Held-out images; some of them are asked.
        seed: The run's seed.
    """
    device = next(model.parameters()).device
    draw = torch.Generator().manual_seed(seed_for(seed, "sharpen held out"))
    asked = rng_for(seed, "sharpen held-out images").permutation(len(images))[:HELD_OUT_IMAGES]
    pixels = torch.from_numpy(images.numbers(asked)).to(device)
    labels = torch.tensor(images.labels[asked], device=device)
    positions = torch.from_numpy(sharpening.tokens.positions).to(device)
    config, correct = sharpening.config, []
    for number in range(-(-HELD_OUT // config.networks)):
        coupling = config.couplings[number % len(config.couplings)]
        chosen = torch.randint(len(sharpening.latents), (config.networks,), generator=draw).numpy()
        moved = sharpening.disturbed(chosen, coupling, draw).to(device)
        decoded = decode_with_gradient(model, moved, positions, sharpening.embed)
        answers = sharpening.answers(chosen, decoded, pixels)
        correct.append((answers.argmax(2) == labels).double().mean(1))
    return float(torch.cat(correct).mean())


def save_sharpened(folder: Path, source: Path, sharpened: Sharpened, config: SharpenConfig) -> None:
    """Write a sharpened SANE in the format of a pretrained one.

    Args:
        folder: Gets the files.
        source: Folder of the model that was sharpened.
        sharpened: The result.
        config: How.
    """
    state = {n: v.cpu().contiguous() for n, v in sharpened.model.state_dict().items()}
    for name in (BEST, LAST):
        save_file(state, folder / name)
    moments = {name: value.contiguous() for name, value in sharpened.optimizer.items()}
    save_file(moments, folder / OPTIMIZER)
    described = json.loads((source / CONFIG).read_text())
    described["sharpened"] = config.model_dump(mode="json", exclude={"device", "save_minutes"})
    (folder / CONFIG).write_text(json.dumps(described, indent=2, sort_keys=True))
    shutil.copyfile(source / HISTORY, folder / HISTORY)
    pq.write_table(pa.Table.from_pylist(sharpened.curve), folder / CURVE)


def sharpening_of(folder: Path) -> SharpenConfig:
    """Return how the SANE of a folder was sharpened.

    Raises:
        ValueError: If it was not.
    """
    sharpening = read_sharpening(folder)
    if sharpening is None:
        raise ValueError(f"model {folder} must be a sharpened one, got one that is not")
    return sharpening


def _epochs(tokens: Path, config: SharpenConfig) -> list[int]:
    """Return the epochs of the train split between the first and the last one asked for."""
    there = sorted({place.epoch for place in places_of(tokens / "checkpoints.parquet", "train")})
    found = [epoch for epoch in there if config.first_epoch <= epoch <= config.last_epoch]
    if not found:
        raise ValueError(
            f"the train split must have checkpoints of epochs {config.first_epoch} to "
            f"{config.last_epoch} to sharpen on, got only epochs {there[0]} to {there[-1]}: set "
            "sharpen.first_epoch and sharpen.last_epoch"
        )
    return found


def _check_classes(answers: Answers, images: Images) -> None:
    classes, largest = classes_of(answers.architecture), int(images.labels.max(initial=0))
    if largest >= classes:
        raise ValueError(
            f"labels must be < {classes}, the classes of {answers.architecture.name}, got "
            f"{largest}: sharpen on the images that the zoo was trained on, or with "
            "sharpen.targets: [prompts], which reads no labels"
        )


def _metrics(sharpened: Sharpened, sharpening: Sharpening) -> dict[str, float]:
    config, last = sharpening.config, sharpened.curve[-1]
    return {
        "sharpen.steps": float(config.steps),
        "sharpen.gradient_evaluations": float(config.steps * config.networks),
        "sharpen.images_seen": float(config.images_seen(len(sharpening.images))),
        "sharpen.train_networks": float(len(sharpening.latents)),
        "sharpen.parameters": float(sharpened.parameters),
        "sharpen.target": last["target"],
        "sharpen.reconstruction": last["reconstruction"],
        "sharpen.target.first": sharpened.curve[0]["target"],
        "sharpen.reconstruction.first": sharpened.curve[0]["reconstruction"],
    }


def _timings(sharpened: Sharpened) -> dict[str, float]:
    return {
        "sharpen.seconds_per_step": sharpened.seconds / max(1, sharpened.steps),
        "sharpen.seconds": sharpened.seconds,
        "sharpen.peak_memory_mb": sharpened.peak_memory,
    }


def _facts(sharpened: Sharpened, config: SharpenConfig) -> dict[str, str]:
    facts = {
        "sharpen.labels": "used" if config.target == "labels" else "not read",
        "sharpen.device": sharpened.device,
        "sharpen.precision": sharpened.precision,
    }
    return facts | ({"sharpen.notes": "; ".join(sharpened.notes)} if sharpened.notes else {})
