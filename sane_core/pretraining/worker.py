"""Training as a process of its own: `python -m sane_core.pretraining.worker JOB.json PARENT`.

A process can be killed where a thread cannot, and a crash of a native library ends it alone. It
reports by rewriting `progress.json`, `history.json` and `measured.json`, and a failure by
`error.json`, all in the scratch folder. It ends with its parent, so that a killed pipeline leaves
no trainer behind.

With several processes `launch` starts this module in each of them; the first alone writes.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sane_core.processes import end_with
from schemas.config.pretrain import PretrainConfig
from schemas.errors import SaneError
from schemas.records import Record

if TYPE_CHECKING:
    from sane_core.pretraining.behaviour import Behaviour
    from sane_core.pretraining.distributed import Ranks
    from sane_core.pretraining.history import EpochRecord, Measured, Watch

PROGRESS, HISTORY, MEASURED, ERROR = (
    f"{name}.json" for name in ("progress", "history", "measured", "error")
)
"""What it leaves in the scratch folder."""

REPORT_SECONDS = 0.2


class TrainingZoo(Record):
    """One of the zoos to train on."""

    windows: str = Field(description="folder of the windows stage")
    tokens: str | None = Field(default=None, description="of the tokens stage, for the behaviour")
    images: str | None = Field(default=None, description="of the images stage, for the behaviour")
    zoo: str | None = Field(default=None, description="of the zoo stage, for batch norms' buffers")


class TrainingJob(Record):
    """What the worker needs to know."""

    zoos: tuple[TrainingZoo, ...] = Field(min_length=1)
    reader: Literal["ffcv", "numpy"]
    folder: str = Field(description="gets the trained model")
    scratch: str = Field(description="keeps the resumable state, progress and errors")
    config: PretrainConfig
    seed: int
    data: str = Field(default="", description="digest of the windows")
    threads: int = Field(ge=1, description="torch threads, of all processes together")


def run(job: TrainingJob) -> None:
    """Train, or go on training, and save the model."""
    import torch

    from sane_core.pretraining.autoencoder import AutoencoderShape
    from sane_core.pretraining.files import save
    from sane_core.pretraining.train import pretrain
    from sane_core.windows.facts import FACTS, read_facts
    from sane_core.windows.reader import open_windows

    torch.set_num_threads(max(1, job.threads // job.config.processes))
    sets = [Path(zoo.windows) for zoo in job.zoos]
    facts = [read_facts(folder / FACTS) for folder in sets]
    largest = [max(sizes) for sizes in zip(*(known.positions for known in facts), strict=True)]
    shape = AutoencoderShape(facts[0].d_t, facts[0].length, (largest[0], largest[1], largest[2]))
    train, validation = (
        open_windows(sets, split, job.reader, d_t=shape.d_t, length=shape.window)
        for split in ("train", "validation")
    )
    with _processes(job.config) as ranks:
        trained = pretrain(
            train,
            validation,
            shape,
            job.config,
            job.seed,
            scratch=Path(job.scratch),
            variances=[known.layer_variances for known in facts],
            behaviours=_behaviours(job, [train.epochs[train.sets == i] for i in range(len(sets))]),
            data=job.data,
            ranks=ranks,
            watch=_watch(Path(job.scratch), ranks),
        )
        if ranks.first:
            save(Path(job.folder), trained, job.config)
            _replace(Path(job.scratch) / MEASURED, _described(trained.measured))


def main(path: Path, parent: int) -> int:
    """Run the job in a file, for a parent process; return the exit code."""
    end_with(parent)
    job = TrainingJob.model_validate_json(path.read_text())
    try:
        _run_noted(job)
    except Exception as error:
        if not _explained(error):
            raise
        code = error.exit_code if isinstance(error, SaneError) else 1
        _replace(Path(job.scratch) / ERROR, {"message": _message(error), "exit_code": code})
        return 1
    return 0


def _explained(error: Exception) -> bool:
    """Return whether there is more to say than where in the code it happened."""
    import torch

    return isinstance(error, SaneError | ValueError | torch.OutOfMemoryError)


def _message(error: Exception) -> str:
    if isinstance(error, SaneError | ValueError):
        return str(error)
    return (
        "the GPU's memory is full outside a training step: make the autoencoder "
        "(pretrain.autoencoder), the batch or the windows smaller, or free memory that other "
        f"processes hold ({str(error).splitlines()[0]})"
    )


def _run_noted(job: TrainingJob) -> None:
    """Run the job; one of several processes leaves a note for `launch` of how it failed."""
    if job.config.processes == 1:
        return run(job)
    from torch.distributed.elastic.multiprocessing.errors import record

    record(run)(job)
    return None


@contextmanager
def _processes(config: PretrainConfig) -> "Iterator[Ranks]":
    """Join the other processes, if there are some."""
    from torch.distributed import get_node_local_rank

    from sane_core.pretraining.devices import choose_device
    from sane_core.pretraining.distributed import ALONE, joined

    if config.processes == 1:
        yield ALONE
        return
    device = choose_device(config.device, config.processes, get_node_local_rank())
    with joined(device) as ranks:
        yield ranks


def _behaviours(job: TrainingJob, epochs: Sequence[Any]) -> "list[Behaviour]":
    from sane_core.pretraining.behaviour import open_behaviour

    if not job.config.behaviour.weight:
        return []
    without = [number for number, zoo in enumerate(job.zoos) if zoo.tokens is None]
    if without:
        raise ValueError(
            f"the behaviour loss needs the tokens of each zoo, got none of zoo {without[0]}: give "
            "them beside its windows, or set pretrain.behaviour.weight to 0"
        )
    return [
        open_behaviour(
            Path(zoo.tokens or ""),
            _path(zoo.images),
            job.config.behaviour,
            sorted({*of_zoo.tolist()}),
            _path(zoo.zoo),
            job.seed,
        )
        for zoo, of_zoo in zip(job.zoos, epochs, strict=True)
    ]


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _watch(scratch: Path, ranks: "Ranks") -> "Watch":
    from sane_core.pretraining.history import Watch

    if not ranks.first:
        return Watch()
    rows: list[dict[str, float]] = []
    told = 0.0

    def step(step: int, steps: int, loss: float, measured: "Measured") -> None:
        nonlocal told
        if step == steps or time.monotonic() - told > REPORT_SECONDS:
            told = time.monotonic()
            shown = {"step": step, "steps": steps, "loss": loss}
            _replace(scratch / PROGRESS, shown | measured.rates())

    def epoch(record: "EpochRecord") -> None:
        rows.append(record.row())
        _replace(scratch / HISTORY, rows)

    return Watch(step, epoch)


def _described(measured: "Measured") -> dict[str, object]:
    return {
        "rates": measured.rates(),
        "device": measured.device,
        "precision": measured.precision,
        "compiled": measured.compiled,
        "notes": measured.notes,
    }


def _replace(path: Path, value: object) -> None:
    # Processes may report at once, each by a file of its own.
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), int(sys.argv[2]))
    # All is written. A library's thread that is still there may abort an interpreter that ends.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
