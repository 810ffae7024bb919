"""Stage `model`: pretrain SANE in a process of its own, resumable."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from sane_core.pretraining.autoencoder import AutoencoderShape
from sane_core.pretraining.files import load
from sane_core.pretraining.train import has_bfloat16
from sane_core.pretraining.worker import TrainingJob
from sane_core.windows.compile import read_facts
from schemas.config.pretrain import PretrainConfig
from schemas.errors import DiskFull, SaneError
from schemas.records import Record
from tasks.progress import Bar, progress_bar
from tasks.stage import stage
from tasks.store_files import is_full
from tasks.store_records import Job, OpenArtifact

POLL_SECONDS = 0.2


class PretrainStage(Record):
    """The configuration of pretraining with what it takes from the windows stage."""

    pretrain: PretrainConfig
    reader: Literal["ffcv", "numpy"]


@stage("model")
def pretrain(job: Job, config: PretrainStage, seed: int, windows: OpenArtifact) -> None:
    """Train the autoencoder on windows until its schedule ends; keep the best epoch."""
    import torch

    facts = read_facts(windows.file("windows.json"))
    training = TrainingJob(
        windows=str(windows.folder),
        reader=config.reader,
        folder=str(job.folder),
        scratch=str(job.scratch),
        shape=asdict(AutoencoderShape(facts.d_t, facts.length, facts.positions)),
        config=config.pretrain,
        seed=seed,
        threads=torch.get_num_threads(),
    )
    description = job.scratch / "job.json"
    description.write_text(training.model_dump_json())
    with progress_bar("pretrain", None, "steps") as bar:
        _run_worker(description, job.scratch, bar)
    _describe(job, config)
    latents = config.pretrain.autoencoder.d_z / facts.weights_per_token
    job.metrics["pretrain.latents_per_weight"] = latents


def _run_worker(description: Path, scratch: Path, bar: Bar) -> None:
    module = "sane_core.pretraining.worker"
    command = [sys.executable, "-m", module, str(description), str(os.getpid())]
    for stale in ("error.json", "progress.json"):
        (scratch / stale).unlink(missing_ok=True)
    # What the worker says goes to the system's folder: the storage written to may be full.
    with tempfile.TemporaryFile() as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while worker.poll() is None:
                time.sleep(POLL_SECONDS)
                _show_progress(scratch / "progress.json", bar)
        finally:
            worker.kill()
            worker.wait()
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    _show_progress(scratch / "progress.json", bar)
    if worker.returncode:
        raise _failure(scratch, worker.returncode, said)


def _show_progress(path: Path, bar: Bar) -> None:
    with suppress(FileNotFoundError):
        progress = json.loads(path.read_text())
        bar.reach(progress["step"], progress["steps"], f"loss {progress['loss']:.3f}")


def _failure(scratch: Path, code: int, said: str) -> SaneError:
    """Return why the worker stopped: as it explained, or by the last line that it said."""
    with suppress(FileNotFoundError):
        error = json.loads((scratch / "error.json").read_text())
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


def _describe(job: Job, config: PretrainStage) -> None:
    history = pq.read_table(job.folder / "history.parquet").to_pylist()
    best = min(history, key=lambda record: record["validation_loss"])
    model = load(job.folder)
    job.metrics["pretrain.parameters"] = float(sum(p.numel() for p in model.parameters()))
    job.metrics["pretrain.best_epoch"] = float(best["epoch"])
    for name in ("loss", "reconstruction", "contrastive"):
        for part in ("train", "validation"):
            job.metrics[f"pretrain.{part}_{name}"] = float(best[f"{part}_{name}"])
    bfloat16 = config.pretrain.precision == "bfloat16" or (
        config.pretrain.precision == "auto" and has_bfloat16()
    )
    job.facts["pretrain.precision"] = "bfloat16" if bfloat16 else "float32"
    job.facts["windows.reader"] = config.reader
