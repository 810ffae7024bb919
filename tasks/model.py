"""Stage `model`: pretrain SANE in a process of its own, or in several, resumable."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from pydantic import Field

from sane_core.pretraining.files import load
from sane_core.pretraining.worker import (
    ERROR,
    HISTORY,
    MEASURED,
    PROGRESS,
    TrainingJob,
    TrainingZoo,
)
from sane_core.windows.facts import FACTS, read_facts
from schemas.config.pretrain import PretrainConfig
from schemas.errors import DiskFull, SaneError
from schemas.records import Record
from tasks.live import epoch_done
from tasks.progress import Bar, progress_bar
from tasks.stage import stage
from tasks.store_files import is_full
from tasks.store_records import Job, OpenArtifact

POLL_SECONDS = 0.2


class PretrainStage(Record):
    """The configuration of pretraining with what it takes from the windows stage."""

    pretrain: PretrainConfig
    reader: Literal["ffcv", "numpy"] = Field(description="who reads the windows")


@stage("model")
def pretrain(job: Job, config: PretrainStage, seed: int, **inputs: OpenArtifact) -> None:
    """Train the autoencoder on windows until its schedule or patience ends; keep the best epoch.

    Inputs: `windows`, or `windows_0`, `windows_1`, … of several zoos; for the behaviour loss the
    `tokens`, `images` and, for batch norms, `zoo` of each, numbered alike.
    """
    import torch

    zoos = _zoos(inputs)
    training = TrainingJob(
        zoos=zoos,
        reader=config.reader,
        folder=str(job.folder),
        scratch=str(job.scratch),
        config=config.pretrain,
        seed=seed,
        data=" ".join(_digests(inputs)),
        threads=torch.get_num_threads(),
    )
    description = job.scratch / "job.json"
    description.write_text(training.model_dump_json())
    with progress_bar("pretrain", None, "steps") as bar:
        command = _command(description, config.pretrain.processes)
        _run_worker(command, training.threads // config.pretrain.processes, job.scratch, bar)
    _describe(job, config, [Path(zoo.windows) for zoo in zoos])


def _zoos(inputs: Mapping[str, OpenArtifact]) -> tuple[TrainingZoo, ...]:
    """Return what there is of each zoo; without a number it is the first one's.

    Raises:
        ValueError: The windows are not numbered from 0 on, or something is of no zoo.
    """
    found: dict[int, dict[str, str]] = {}
    for name, opened in inputs.items():
        kind, _, number = name.partition("_")
        found.setdefault(int(number or 0), {})[kind] = str(opened.folder)
    if [*sorted(found)] != [*range(len(found))] or any("windows" not in z for z in found.values()):
        raise ValueError(
            f"inputs must be the windows of each zoo, windows_0, windows_1, …, got {[*inputs]}"
        )
    return tuple(TrainingZoo(**found[number]) for number in sorted(found))


def _digests(inputs: Mapping[str, OpenArtifact]) -> list[str]:
    return [f"{name}={inputs[name].artifact.digest}" for name in sorted(inputs)]


def _command(description: Path, processes: int) -> list[str]:
    """Return what trains: one process, or a launcher of several."""
    module = "worker" if processes == 1 else "launch"
    command = [sys.executable, "-m", f"sane_core.pretraining.{module}", str(description)]
    return [*command, str(os.getpid()), *([] if processes == 1 else [str(processes)])]


def _run_worker(command: list[str], threads: int, scratch: Path, bar: Bar) -> None:
    for stale in (ERROR, PROGRESS, HISTORY, MEASURED):
        (scratch / stale).unlink(missing_ok=True)
    told = 0
    # What the worker says goes to the system's folder: the storage written to may be full.
    with tempfile.TemporaryFile() as log:
        # Sums on another number of threads are other numbers: it counts for every thread there.
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, threads))}
        worker = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            while worker.poll() is None:
                time.sleep(POLL_SECONDS)
                _show_progress(scratch / PROGRESS, bar)
                told = _tell_epochs(scratch / HISTORY, told)
        finally:
            worker.kill()
            worker.wait()
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    _show_progress(scratch / PROGRESS, bar)
    _tell_epochs(scratch / HISTORY, told)
    if worker.returncode:
        raise _failure(scratch, worker.returncode, said)


def _tell_epochs(path: Path, told: int) -> int:
    """Tell the epochs that have ended since; return how many were told."""
    with suppress(FileNotFoundError):
        rows = json.loads(path.read_text())
        for row in rows[told:]:
            epoch_done(row)
        return len(rows)
    return told


def _show_progress(path: Path, bar: Bar) -> None:
    with suppress(FileNotFoundError):
        progress = json.loads(path.read_text())
        windows = progress["pretrain.windows_per_second"]
        note = f"loss {progress['loss']:.3f}, {windows:,.0f} windows/s"
        bar.reach(progress["step"], progress["steps"], note)


def _failure(scratch: Path, code: int, said: str) -> SaneError:
    """Return why the worker stopped: as it explained, or by the last line that it said."""
    with suppress(FileNotFoundError):
        error = json.loads((scratch / ERROR).read_text())
        failure = SaneError(error["message"])
        failure.exit_code = error["exit_code"]
        return failure
    last = said.splitlines()[-1] if said else "no output"
    if is_full(RuntimeError(last), scratch):
        return DiskFull(
            f"no space left to train in {scratch}: free some space, then run the same command "
            "again to resume"
        )
    return SaneError(
        f"pretraining stopped with exit code {code} ({last}): run the same command again to resume"
    )


def _describe(job: Job, config: PretrainStage, sets: list[Path]) -> None:
    history = pq.read_table(job.folder / "history.parquet").to_pylist()
    best = min(history, key=lambda record: record["validation_loss"])
    model = load(job.folder)
    job.metrics["pretrain.parameters"] = float(sum(p.numel() for p in model.parameters()))
    job.metrics["pretrain.best_epoch"] = float(best["epoch"])
    job.metrics["pretrain.epochs"] = float(len(history))
    for name in ("loss", "reconstruction", "contrastive"):
        for part in ("train", "validation"):
            job.metrics[f"pretrain.{part}_{name}"] = float(best[f"{part}_{name}"])
    if config.pretrain.behaviour.weight:
        job.metrics["pretrain.train_behaviour"] = float(best["train_behaviour"])
    job.metrics["pretrain.latents_per_weight"] = _latents_per_weight(config.pretrain, sets)
    measured: dict[str, Any] = json.loads((job.scratch / MEASURED).read_text())
    job.timings.update(measured["rates"])
    job.facts["pretrain.precision"] = measured["precision"]
    job.facts["pretrain.device"] = measured["device"]
    job.facts["pretrain.compiled"] = measured["compiled"]
    if measured["notes"]:
        job.facts["pretrain.notes"] = "; ".join(measured["notes"])
    job.facts["windows.reader"] = config.reader


def _latents_per_weight(config: PretrainConfig, sets: list[Path]) -> float:
    """Return the mean over the zoos: latents of a network, for each of its weights."""
    ratios = []
    for folder in sets:
        facts = read_facts(folder / FACTS)
        tokens = facts.positions[0] if config.autoencoder.bottleneck == "model" else 1
        ratios.append(config.autoencoder.d_z / tokens / facts.weights_per_token)
    return sum(ratios) / len(ratios)
