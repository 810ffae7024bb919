"""Train a zoo into a folder: weights and checkpoints table (paper §3; SANE-FACTS §1).

Members are trained in chunks that fit into memory. After every epoch a chunk's weights and its
training state are kept in the scratch folder, so a run that is killed repeats at most the epoch it
was in and ends with the same files.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.images.files import read_images
from sane_core.images.images import PARTS
from sane_core.zoo.chunk import Chunk
from sane_core.zoo.population.choose import choose_way
from sane_core.zoo.population.members import Member, members_of
from sane_core.zoo.population.memory import members_that_fit
from sane_core.zoo.splits import split_runs
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.zoo import ZooConfig
from schemas.tables import checkpoints_schema

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
    on_choice: Callable[[str, dict[str, float]], None] | None = None,
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
        on_choice: Called once with the way that members are trained at once, and what every way
            was measured to take, in seconds per step of a member.

    Returns:
        Metrics: mean accuracies at the last epoch, members trained at once.

    Raises:
        ValueError: If the images have another shape than the architecture's, or memory cannot hold
            even one member.
    """
    architecture = architecture_named(config.architecture)
    parts = read_images(images)
    if parts["train"].shape != architecture.input_shape:
        raise ValueError(
            f"images of zoo {config.name} must have shape {architecture.input_shape} for "
            f"{architecture.name}, got {parts['train'].shape}; set the architecture's channels and "
            "size, or the images' size"
        )
    devices = devices_for(config.device)
    members = members_of(config, range(config.members), seed)
    way, seconds = choose_way(architecture, config, members, seed, devices[0])
    if on_choice:
        on_choice(way, seconds)
    fits = members_that_fit(architecture, config, members, seed, way, devices[0])
    size = min(config.chunk or fits, fits, -(-len(members) // len(devices)))
    chunks = [
        Chunk(config, architecture, members[start : start + size], seed, way, scratch)
        for start in range(0, len(members), size)
    ]
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)

    def train(chunk: Chunk) -> None:
        device = free.get()
        try:
            chunk.train(parts, device, on_epoch)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        for _ in pool.map(train, chunks):
            pass
    (folder / "weights").mkdir()
    for number, chunk in enumerate(chunks):
        with ShardWriter(folder / "weights" / f"part-{number:05d}.parquet", RowGroup()) as writer:
            chunk.write(writer)
    scores = np.concatenate([chunk.scores() for chunk in chunks])
    table = checkpoints_of(config, members, scores, seed)
    pq.write_table(table, folder / "checkpoints.parquet", compression="zstd")
    last = table.filter(pa.compute.equal(table["epoch"], config.epochs))
    return {"zoo.members_at_once": float(size)} | {
        f"zoo.{part}_accuracy": float(np.mean(last[f"{part}_accuracy"].to_numpy()))
        for part in PARTS
    }


def devices_for(wanted: str) -> list[str]:
    """Return the devices that members are trained on.

    Raises:
        ValueError: If a GPU is asked for and there is none.
    """
    count = torch.cuda.device_count() if wanted in ("auto", "cuda") else 0
    if wanted == "cuda" and not count:
        raise ValueError("device must be auto or cpu on a machine without a GPU, got 'cuda'")
    return [f"cuda:{i}" for i in range(count)] or ["cpu"]


def checkpoints_of(
    config: ZooConfig, members: Sequence[Member], scores: np.ndarray, seed: int
) -> pa.Table:
    """Build the checkpoints table.

    Args:
        config: The zoo's.
        members: Its members.
        scores: [members, kept epochs, parts, (accuracy, loss)].
        seed: The run's seed; splits come from it.
    """
    runs = [member.run for member in members]
    split = split_runs(runs, config.train_share, config.validation_share, seed)
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
        "split": [split[run] for run in runs for _ in epochs],
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
