"""A stage `model` that trains nothing, but tells its epochs and resumes as the real one does."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.session import Session
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact, Record
from tasks.live import epoch_done
from tasks.stage import stage
from tasks.store_records import Job

BEST_RATE = 0.004


class Toy(Record):
    """What is trained, and where it leaves a trace of each epoch."""

    learning_rate: float
    epochs: int
    log: str
    wait: float = 0.0


def loss(rate: float, epoch: int, epochs: int) -> float:
    """Fall to a floor that is lowest at the best rate."""
    return abs(rate - BEST_RATE) + 0.1 * (1 - epoch / epochs)


@stage("model")
def train_toy(job: Job, config: Toy, seed: int) -> None:
    """Train."""
    del seed
    state = job.scratch / "state.json"
    history = json.loads(state.read_text()) if state.exists() else []
    for epoch in range(len(history) + 1, config.epochs + 1):
        if config.learning_rate > 0.9:
            raise ValueError(f"the loss must stay finite, got nan in epoch {epoch}")
        with Path(config.log).open("a") as log:
            log.write(f"{config.learning_rate} {epoch}\n")
        value = loss(config.learning_rate, epoch, config.epochs)
        record = {
            "epoch": epoch,
            "train_loss": 2 * value,
            "validation_loss": value,
            "validation_reconstruction": value,
        }
        history.append(record)
        state.write_text(json.dumps(history))
        epoch_done(record)
        time.sleep(config.wait)
    pq.write_table(pa.Table.from_pylist(history), job.folder / "history.parquet")
    for name in ("train_loss", "validation_loss", "validation_reconstruction"):
        job.metrics[f"pretrain.{name}"] = history[-1][name]


def prepare(session: Session, config: BenchmarkConfig, target: str | None) -> Sequence[object]:
    """Stand for `flows.tune_measure.prepare`."""
    del session, target
    return config.zoos


def train(run: object, config: BenchmarkConfig, zoos: Sequence[object]) -> Artifact:
    """Stand for `flows.algorithm.train`: the toy, its trace in the folder of the data."""
    del zoos
    settings = Toy(
        learning_rate=config.pretrain.learning_rate,
        epochs=config.pretrain.epochs,
        log=f"{config.data}/epochs",
        wait=config.pretrain.weight_decay,
    )
    return run(train_toy, settings)  # type: ignore[operator, no-any-return]
