"""Train a zoo into a folder: weights, checkpoints table, images (paper §3; SANE-FACTS §1).

Members are trained in chunks; a finished chunk is kept in the scratch folder, named after its runs,
so a run that is killed repeats at most one chunk and ends with the same files, and another chunk
size never takes up what is not its own.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from sane_core.zoo.architectures import architecture_named
from sane_core.zoo.files import write_weights
from sane_core.zoo.images import PARTS, Images, split_digits, write_images
from sane_core.zoo.population import Population, initialize, score, train
from sane_core.zoo.splits import split_runs
from schemas.config.zoo import ZooConfig
from schemas.tables import CHECKPOINTS


def train_zoo(
    config: ZooConfig,
    seed: int,
    folder: Path,
    scratch: Path,
    on_epoch: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Train every member of a zoo and write it.

    Args:
        config: What to train.
        seed: The run's seed.
        folder: Gets `weights/*.parquet`, `checkpoints.parquet` and `images.npz`.
        scratch: Keeps finished chunks across a kill.
        on_epoch: Called with the members of the chunk after each of its epochs, and once per
            epoch for a chunk that was finished before.

    Returns:
        Metrics: mean accuracies at the last epoch.
    """
    images = split_digits(seed, config.train_images, config.validation_images, config.test_images)
    runs = list(range(config.members))
    (folder / "weights").mkdir()
    scores = []
    for number, start in enumerate(range(0, config.members, config.chunk)):
        chunk = runs[start : start + config.chunk]
        kept = scratch / f"runs-{chunk[0]:05d}-{chunk[-1]:05d}.npz"
        if kept.exists():
            for _ in range(config.epochs + 1 if on_epoch else 0):
                on_epoch(len(chunk))  # type: ignore[misc]
        else:
            _train_chunk(config, seed, chunk, images, kept, on_epoch)
        with np.load(kept, allow_pickle=False) as arrays:
            weights = {name: arrays[name] for name in arrays.files if name != "scores"}
            scores.append(arrays["scores"])
        write_weights(
            folder / "weights" / f"part-{number:05d}.parquet",
            chunk,
            range(config.epochs + 1),
            weights,
        )
    table = _checkpoints(config, seed, runs, np.concatenate(scores))
    pq.write_table(table, folder / "checkpoints.parquet", compression="zstd")
    write_images(folder / "images.npz", images)
    last = table.filter(pa.compute.equal(table["epoch"], config.epochs))
    return {
        f"zoo.{part}_accuracy": float(np.mean(last[f"{part}_accuracy"].to_numpy()))
        for part in PARTS
    }


def _train_chunk(
    config: ZooConfig,
    seed: int,
    runs: list[int],
    images: dict[str, Images],
    kept: Path,
    on_epoch: Callable[[int], None] | None,
) -> None:
    architecture = architecture_named(config.architecture)
    snapshots: list[dict[str, np.ndarray]] = []
    scores = []

    def keep(epoch: int, population: Population) -> None:
        del epoch
        snapshots.append({name: values.numpy().copy() for name, values in population.items()})
        scores.append(_score(config, population, images))
        if on_epoch:
            on_epoch(len(runs))

    train(
        architecture,
        initialize(architecture, runs, seed),
        images["train"],
        runs=runs,
        epochs=config.epochs,
        batch=config.batch,
        learning_rate=config.learning_rate,
        seed=seed,
        on_epoch=keep,
    )
    weights = {
        name: np.stack([s[name] for s in snapshots], axis=1) for name in architecture.shapes()
    }
    temporary = kept.with_suffix(".tmp.npz")
    np.savez(temporary, allow_pickle=False, scores=np.stack(scores, axis=1), **weights)
    temporary.replace(kept)


def _score(config: ZooConfig, population: Population, images: dict[str, Images]) -> np.ndarray:
    """Return [members, parts, (accuracy, loss)]."""
    architecture = architecture_named(config.architecture)
    results = []
    for part in PARTS:
        correct, loss = score(architecture, population, images[part])
        results.append(np.stack([correct.mean(1), loss], axis=1))
    return np.stack(results, axis=1)


def _checkpoints(config: ZooConfig, seed: int, runs: list[int], scores: np.ndarray) -> pa.Table:
    """Build the checkpoints table from scores [runs, epochs, parts, (accuracy, loss)]."""
    split = split_runs(runs, config.train_share, config.validation_share, seed)
    epochs = config.epochs + 1
    flat = scores.reshape(len(runs) * epochs, len(PARTS), 2)
    by_part = {part: flat[:, i] for i, part in enumerate(PARTS)}
    columns = {
        "zoo": [config.name] * len(flat),
        "run": np.repeat(runs, epochs),
        "epoch": np.tile(np.arange(epochs), len(runs)),
        "split": [split[run] for run in runs for _ in range(epochs)],
        "architecture": [config.architecture] * len(flat),
        "generalization_gap": by_part["train"][:, 0] - by_part["test"][:, 0],
        "hyperparameters": [{"learning_rate": config.learning_rate, "batch": config.batch}]
        * len(flat),
        "licence": ["Apache-2.0"] * len(flat),
    }
    columns |= {f"{part}_accuracy": values[:, 0] for part, values in by_part.items()}
    columns |= {f"{part}_loss": values[:, 1] for part, values in by_part.items()}
    missing = [None] * len(flat)
    return pa.table(
        [pa.array(columns.get(field.name, missing), field.type) for field in CHECKPOINTS],
        schema=CHECKPOINTS,
    )
