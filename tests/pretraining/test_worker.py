"""Training as processes: two give what one gives, they end together, and leave nobody behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TypeAlias

import psutil
import pyarrow.parquet as pq
import pytest
import torch

from sane_core.pretraining import worker
from sane_core.pretraining.files import load
from sane_core.pretraining.train import pretrain
from sane_core.pretraining.worker import TrainingJob, TrainingZoo, run
from sane_core.windows.reader import open_windows
from schemas.config.pretrain import BehaviourConfig
from tests.pretraining.toy import CONFIG, SHAPE, Memory, configured, weights_of, write_set

ROOT = Path(__file__).parents[2]
ALONE = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
LONG = {"epochs": 100_000}
Process: TypeAlias = "subprocess.Popen[bytes]"


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    return write_set(folder, Memory(0), Memory(1))


class Trainer:
    """A job in a folder, and how it is run."""

    def __init__(self, folder: Path, windows: list[Path], **changes) -> None:
        self.scratch, self.model = folder / "scratch", folder / "model"
        self.scratch.mkdir(exist_ok=True)
        self.model.mkdir(exist_ok=True)
        self.job = TrainingJob(
            zoos=tuple(TrainingZoo(windows=str(path)) for path in windows),
            reader="numpy",
            folder=str(self.model),
            scratch=str(self.scratch),
            config=configured(**changes),
            seed=0,
            threads=1,
        )
        (self.scratch / "job.json").write_text(self.job.model_dump_json())

    def start(self, said: IO[bytes] | None = None, rest: Path | None = None) -> Process:
        """Run it; what it says goes to a file, and temporary files to a folder, if given."""
        where = {} if rest is None else {"TMPDIR": str(rest)}
        environment = os.environ | ALONE | where
        return subprocess.Popen(self.command(os.getpid()), env=environment, stderr=said)

    def command(self, parent: int) -> list[str]:
        processes = self.job.config.processes
        module = "worker" if processes == 1 else "launch"
        command = [sys.executable, "-m", f"sane_core.pretraining.{module}"]
        command += [str(self.scratch / "job.json"), str(parent)]
        return command if processes == 1 else [*command, str(processes)]

    def run(self) -> int:
        return self.start().wait(120)

    def read(self, name: str):
        return json.loads((self.scratch / f"{name}.json").read_text())

    def wait_for_progress(self, process: Process) -> None:
        limit = time.monotonic() + 120
        while not (self.scratch / "progress.json").exists():
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.01)

    @property
    def history(self) -> list[dict[str, float]]:
        return pq.read_table(self.model / "history.parquet").to_pylist()


def test_the_worker_trains_as_the_function_does(windows, tmp_path):
    trainer = Trainer(tmp_path, [windows])
    assert trainer.run() == 0
    train, validation = (open_windows([windows], s, "numpy") for s in ("train", "validation"))
    trained = pretrain(train, validation, SHAPE, CONFIG, 0)
    assert trainer.history == [record.row() for record in trained.history]
    found = torch.cat([v.flatten() for v in load(trainer.model).state_dict().values()])
    assert torch.equal(found, weights_of(trained))
    assert trainer.read("history") == trainer.history
    progress = trainer.read("progress")
    assert (progress["step"], progress["steps"]) == (36, 36)
    assert progress["pretrain.windows_per_second"] > 0
    assert progress["pretrain.peak_memory_mb"] > 10
    assert trainer.read("measured")["precision"] == "float32"


def close(first: list[dict[str, float]], second: list[dict[str, float]]) -> bool:
    return all(
        row.keys() == other.keys()
        and all(row[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6) for name in row)
        for row, other in zip(first, second, strict=True)
    )


TWO = {"processes": 2, "clip": 0.5}
OTHERWISE = {"accumulate": 2, "batch": 8, "gamma": 0.5, "layer_normalization": True}


@pytest.fixture(scope="module")
def zoos(tmp_path_factory) -> list[Path]:
    """Two sets of windows, of unlike layers and numbers of networks."""
    folder = tmp_path_factory.mktemp("zoos")
    first = Memory(0, runs=8, views=4), Memory(1, views=4)
    second = Memory(2, runs=3, views=4), Memory(3, runs=3, views=4)
    return [
        write_set(folder / "a", *first, variances=(1.0, 4.0)),
        write_set(folder / "b", *second, variances=(0.25, 2.0)),
    ]


@pytest.fixture(scope="module")
def undisturbed(zoos, tmp_path_factory) -> Trainer:
    """Two processes, at their end."""
    trainer = Trainer(tmp_path_factory.mktemp("undisturbed"), zoos, **TWO)
    assert trainer.run() == 0
    return trainer


def train_as_one(trainer: Trainer, zoos: list[Path]) -> bool:
    """Whether one process ends where those of a trainer did, up to rounding."""
    readers = [open_windows(zoos, split, "numpy") for split in ("train", "validation")]
    variances = [(1.0, 4.0), (0.25, 2.0)]
    config = trainer.job.config.model_copy(update={"processes": 1})
    alone = pretrain(*readers, SHAPE, config, 0, variances=variances)
    found = load(trainer.model).state_dict()
    return close(trainer.history, [record.row() for record in alone.history]) and torch.allclose(
        torch.cat([v.flatten() for v in found.values()]), weights_of(alone), atol=1e-3
    )


def test_two_processes_train_as_one_does(undisturbed, zoos):
    assert train_as_one(undisturbed, zoos)


def test_two_processes_with_parts_and_normalized_layers_train_as_one_does(zoos, tmp_path):
    trainer = Trainer(tmp_path, zoos, **TWO | OTHERWISE)
    assert trainer.run() == 0
    assert train_as_one(trainer, zoos)
    # The violation: another loss is another training.
    even = Trainer(tmp_path, zoos, **TWO | OTHERWISE | {"layer_normalization": False})
    even.model = trainer.model
    assert not train_as_one(even, zoos)


def test_contrast_needs_the_projections_of_all_processes():
    """The violation: half of a batch is easier to tell apart than all of it."""
    whole = pretrain(Memory(0), Memory(1), SHAPE, CONFIG, 0).history
    halves = pretrain(Memory(0), Memory(1), SHAPE, configured(accumulate=2), 0).history
    assert not close([whole[0].row()], [halves[0].row()])


def test_two_processes_that_are_killed_resume_to_the_same_end(undisturbed, zoos, tmp_path):
    killed = Trainer(tmp_path, zoos, **TWO, save_minutes=1e-9)
    process = killed.start()
    killed.wait_for_progress(process)
    process.kill()
    process.wait()
    assert not any(killed.model.iterdir())
    trainer = Trainer(tmp_path, zoos, **TWO)
    assert trainer.run() == 0
    assert trainer.history == undisturbed.history
    ends = [load(each.model, last=True).state_dict() for each in (trainer, undisturbed)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def everyone(process: Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_a_process_that_dies_ends_all_with_one_sentence(windows, tmp_path):
    trainer = Trainer(tmp_path, [windows], processes=2, **LONG)
    with (tmp_path / "said").open("wb") as said:
        process = trainer.start(said=said)
        trainer.wait_for_progress(process)
        ranks = [p for p in everyone(process) if "sane_core.pretraining.worker" in p.cmdline()]
        assert len(ranks) == 2
        ranks[1].send_signal(signal.SIGKILL)
        assert process.wait(60) == 1
    _, alive = psutil.wait_procs(ranks, timeout=30)
    assert alive == []
    last = (tmp_path / "said").read_text().splitlines()[-1]
    assert last.startswith("process ") and last.endswith("of 2: ended with exit code -9")


def test_what_one_of_several_processes_could_not_do_is_the_last_line_said(windows, tmp_path):
    """And torchrun leaves nothing behind."""
    trainer = Trainer(tmp_path, [windows], processes=2, epochs=1)
    trainer.model.rmdir()
    rest = tmp_path / "rest"
    rest.mkdir()
    with (tmp_path / "said").open("wb") as said:
        assert trainer.start(said=said, rest=rest).wait(120) == 1
    last = (tmp_path / "said").read_text().splitlines()[-1]
    assert last.startswith("process 0 of 2: SafetensorError: Error while serializing: I/O error")
    assert not (trainer.scratch / "error.json").exists()
    assert not [path for path in rest.iterdir() if "elastic" in path.name or "sane" in path.name]


PARENT = """
import os, subprocess, sys, time
command = [str(os.getpid()) if word == "PARENT" else word for word in sys.argv[1:]]
subprocess.Popen(command)
time.sleep(600)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_no_process_outlives_the_one_that_began_it(windows, tmp_path, processes):
    trainer = Trainer(tmp_path, [windows], processes=processes, **LONG)
    command = [w if w != "0" else "PARENT" for w in trainer.command(0)]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *command], env=os.environ | ALONE)
    trainer.wait_for_progress(parent)
    started = everyone(parent)
    assert len(started) >= processes
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []


@pytest.mark.parametrize("processes", [1, 2])
def test_what_stops_training_is_left_as_one_sentence(windows, tmp_path, processes):
    trainer = Trainer(tmp_path, [windows], processes=processes, batch=8)
    assert trainer.run() == 1
    error = trainer.read("error")
    assert error["message"].startswith("an epoch must have windows of at least 8 runs")
    assert error["exit_code"] == 1


def test_memory_that_is_full_elsewhere_is_one_sentence_too(windows, tmp_path, monkeypatch):
    trainer = Trainer(tmp_path, [windows])

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(worker, "run", full)
    monkeypatch.setattr(worker, "end_with", lambda parent: None)
    assert worker.main(trainer.scratch / "job.json", os.getpid()) == 1
    assert "memory is full outside a training step" in trainer.read("error")["message"]


def test_windows_that_are_damaged_are_named(tmp_path):
    folder = write_set(tmp_path / "windows", Memory(0), Memory(1))
    (folder / "train-00000.beton").unlink()
    trainer = Trainer(tmp_path, [folder])
    assert trainer.run() == 1
    assert "train-00000.beton" in trainer.read("error")["message"]


def test_the_behaviour_of_a_zoo_without_tokens_is_refused(windows, tmp_path, monkeypatch):
    trainer = Trainer(tmp_path, [windows], behaviour=BehaviourConfig(weight=1.0))
    known = TrainingZoo(windows=str(windows), tokens="tokens")
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    with pytest.raises(ValueError, match="tokens of each zoo, got none of zoo 1: give them"):
        run(trainer.job.model_copy(update={"zoos": (known, *trainer.job.zoos)}))
