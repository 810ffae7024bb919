"""Train a zoo into a folder: weights and checkpoints table (paper §3).

Members are trained in chunks that fit into memory. After every epoch a chunk's weights and its
training state are kept in the scratch folder, so a run that is killed repeats at most the epoch it
was in and ends with the same files.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch

from sane_core.architectures.architecture import Architecture
from sane_core.architectures.registry import architecture_named
from sane_core.images.files import read_images
from sane_core.images.images import PARTS, Images
from sane_core.zoo.chunk import Chunk
from sane_core.zoo.fingerprints import Placed, fingerprint_of
from sane_core.zoo.finish import finish_zoo
from sane_core.zoo.population.choose import choose_way
from sane_core.zoo.population.members import Member, members_of
from sane_core.zoo.population.memory import members_that_fit
from sane_core.zoo.population.outputs import classes_of
from sane_core.zoo.weight_entries import weights_of
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.zoo import ZooConfig
from schemas.tables import checkpoints_schema

SHARD_BYTES = 256 * 2**20
"""Weights in one Parquet file, about."""

HYPERPARAMETERS = {
    "learning_rate": pa.float64(),
    "weight_decay": pa.float64(),
    "batch": pa.int32(),
    "optimizer": pa.string(),
    "initialization": pa.string(),
    "activation": pa.string(),
    "dropout": pa.float64(),
}


def train_zoo(
    config: ZooConfig,
    images: Path,
    seed: int,
    folder: Path,
    scratch: Path,
    on_epoch: Callable[[int], None] | None = None,
    on_choice: Callable[[str, int, dict[str, float]], None] | None = None,
) -> dict[str, float]:
    """Train every member of a zoo and write it.

    Args:
        config: What to train.
        images: Folder of the images stage.
        seed: The run's seed.
        folder: Gets `weights/*.parquet` and `checkpoints.parquet`.
        scratch: Keeps finished epochs across a kill.
        on_epoch: Called with the members of the chunk after each of its epochs, also for those that
            were finished before.
        on_choice: Called once with the way that members are trained, how many are trained at once,
            and what every way was measured to take, in seconds per step of a member; all as they
            were where a killed run is resumed.

    Returns:
        Metrics: mean accuracies at the last epoch, runs that repeat another one.

    Raises:
        ValueError: If the images have another shape or more classes than the architecture's, or
            memory cannot hold even one member.
    """
    architecture = architecture_named(config.architecture)
    parts = read_images(images)
    if parts["train"].shape != architecture.input_shape:
        raise ValueError(
            f"images of zoo {config.name} must have shape {architecture.input_shape} for "
            f"{architecture.name}, got {parts['train'].shape}; set the architecture's channels and "
            "size, or the images' size"
        )
    classes, labels = classes_of(architecture), int(parts["train"].labels.max())
    if labels >= classes:
        raise ValueError(
            f"images of zoo {config.name} must have labels < {classes} for {architecture.name}, "
            f"got {labels}; set the architecture's classes"
        )
    devices = devices_for(config.device)
    members = members_of(config, range(config.members), seed)
    way, seconds, size = _planned(config, architecture, members, seed, devices, scratch)
    if on_choice:
        on_choice(way, size, seconds)
    chunks = [
        Chunk(config, architecture, members[start : start + size], seed, way, scratch)
        for start in range(0, len(members), size)
    ]
    _train_on(devices, chunks, parts, on_epoch)
    prints = _write_weights(folder / "weights", chunks, config.kept_epochs())
    scores = np.concatenate([chunk.scores() for chunk in chunks])
    table = checkpoints_of(config, members, scores)
    shares = (config.train_share, config.validation_share)
    found = finish_zoo(folder, table, prints, *shares, seed)
    last = table.filter(pa.compute.equal(table["epoch"], config.epochs))
    return found | {
        f"zoo.{part}_accuracy": float(np.mean(last[f"{part}_accuracy"].to_numpy()))
        for part in PARTS
    }


def _planned(
    config: ZooConfig,
    architecture: Architecture,
    members: Sequence[Member],
    seed: int,
    devices: Sequence[str],
    scratch: Path,
) -> tuple[str, dict[str, float], int]:
    """Return the way, what every way was measured to take, and the members of a chunk.

    They are kept: another measurement, or other free memory, would make a resumed run start anew.
    """
    kept = scratch / "plan.json"
    if kept.exists():
        way, seconds, size = json.loads(kept.read_text(encoding="utf-8"))
        return way, seconds, size
    way, seconds = choose_way(architecture, config, members, seed, devices[0])
    fits = members_that_fit(architecture, config, members, seed, way, devices[0])
    size = min(config.chunk or fits, fits, -(-len(members) // len(devices)))
    temporary = kept.with_suffix(".tmp")
    temporary.write_text(json.dumps([way, seconds, size]), encoding="utf-8")
    temporary.replace(kept)
    return way, seconds, size


def _train_on(
    devices: Sequence[str],
    chunks: Sequence[Chunk],
    parts: Mapping[str, Images],
    on_epoch: Callable[[int], None] | None,
) -> None:
    """Train every chunk on a device that is free; where one fails, the others end their epoch."""
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)
    stopped = Event()

    def note(members: int) -> None:
        if stopped.is_set():
            raise CancelledError
        if on_epoch:
            on_epoch(members)

    def train(chunk: Chunk) -> None:
        device = free.get()
        try:
            if not stopped.is_set():
                chunk.train(parts, device, note)
        except BaseException:
            stopped.set()
            raise
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        try:
            for done in as_completed([pool.submit(train, chunk) for chunk in chunks]):
                if not isinstance(done.exception(), CancelledError):
                    done.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_weights(folder: Path, chunks: Sequence[Chunk], epochs: Sequence[int]) -> list[Placed]:
    """Write shards of members, the same whatever fitted into memory at once.

    Returns:
        The fingerprints of what was written.
    """
    folder.mkdir()
    group = RowGroup()
    prints: list[Placed] = []
    members = [(chunk, i) for chunk in chunks for i in range(len(chunk.members))]
    weights = chunks[0].architecture.parameter_count()
    size = max(1, SHARD_BYTES // (4 * weights * len(epochs)))
    for number, start in enumerate(range(0, len(members), size)):
        with ShardWriter(folder / f"part-{number:05d}.parquet", group) as writer:
            for epoch in epochs:
                for chunk, own in groupby(members[start : start + size], key=itemgetter(0)):
                    prints += _add(writer, chunk, [i for _, i in own], epoch)
    return prints


def _add(writer: ShardWriter, chunk: Chunk, places: Sequence[int], epoch: int) -> Iterator[Placed]:
    """Write members of a chunk; yield the fingerprints of those that have one."""
    entries = chunk.entries(epoch)
    dtypes = {name: str(values.dtype) for name, values in entries.items()}
    for i in places:
        run = chunk.members[i].run
        own = {name: values[i].astype(np.float32) for name, values in entries.items()}
        place = writer.add(run, epoch, own, dtypes)
        fingerprint = fingerprint_of(weights_of(own, dtypes))
        if fingerprint is not None:
            yield Placed(run, epoch, fingerprint, place)


def devices_for(wanted: str) -> list[str]:
    """Return the devices that members are trained on.

    Raises:
        ValueError: If a GPU is asked for and there is none.
    """
    count = torch.cuda.device_count() if wanted in ("auto", "cuda") else 0
    if wanted == "cuda" and not count:
        raise ValueError("device must be auto or cpu on a machine without a GPU, got 'cuda'")
    return [f"cuda:{i}" for i in range(count)] or ["cpu"]


def checkpoints_of(config: ZooConfig, members: Sequence[Member], scores: np.ndarray) -> pa.Table:
    """Build the checkpoints table, its splits yet to be drawn.

    Args:
        config: The zoo's.
        members: Its members.
        scores: [members, kept epochs, parts, (accuracy, loss)].
    """
    runs = [member.run for member in members]
    epochs = config.kept_epochs()
    by_part = {part: scores[:, :, i].reshape(-1, 2) for i, part in enumerate(PARTS)}
    hyperparameters = [
        {
            "learning_rate": member.learning_rate,
            "weight_decay": member.weight_decay,
            "batch": config.batch,
            "optimizer": config.optimizer,
            "initialization": member.initialization,
            "activation": member.activation,
            "dropout": member.dropout,
        }
        for member in members
    ]
    rows = len(runs) * len(epochs)
    columns = {
        "zoo": [config.name] * rows,
        "run": np.repeat(runs, len(epochs)),
        "epoch": np.tile(epochs, len(runs)),
        "architecture": [architecture_named(config.architecture).name] * rows,
        "generalization_gap": by_part["train"][:, 0] - by_part["test"][:, 0],
        "hyperparameters": [own for own in hyperparameters for _ in epochs],
        "licence": [config.licence] * rows,
    }
    columns |= {f"{part}_accuracy": values[:, 0] for part, values in by_part.items()}
    columns |= {f"{part}_loss": values[:, 1] for part, values in by_part.items()}
    schema = checkpoints_schema(HYPERPARAMETERS)
    missing = [None] * rows
    return pa.table(
        [pa.array(columns.get(field.name, missing), field.type) for field in schema], schema=schema
    )
