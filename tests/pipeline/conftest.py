"""One undisturbed run of the whole pipeline per session; every test works on copies of its store.

Everything runs on one thread: sums in another order would be other digests.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from threadpoolctl import threadpool_limits

from flows.benchmark import run_stages
from flows.configuration import load_configuration
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact, Manifest, Record
from tasks.stage import Place, Stage

SMALL = """
name: small
zoos:
  - members: 8
    way: patches  # measured otherwise, and another way gives other last bits
    epochs: 2
    chunk: 4
    train_share: 0.5
    validation_share: 0.25
    images: {train: 200, validation: 100, test: 100}
windows: {length: 16, epoch_step: 1, views: 1}
pretrain:
  autoencoder: {d_model: 16, heads: 2, layers: 1, d_z: 8, d_projection: 8}
  epochs: 2
  batch: 4
embed: {chunk: 16, halo: 4, views: 2}
probe: {targets: [epoch], bootstraps: 20, lambdas: [1.0, 0.1]}
generate:
  prompt_epoch: 2
  candidates: 4
  keep: 2
  samplers: [{name: sub, sweep: [0.1]}, {name: gauss, distribution: gauss}]
  noise_sizes: [0.1]
  interpolations: [0.1]
  seeds: 1
  finetune_epochs: [1]
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# 20 s, Prefect's own, are too short for a server on a busy machine.
PATIENCE = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}

Sane = Callable[..., "subprocess.CompletedProcess[str]"]
RunAll = Callable[..., "Run"]


@dataclass(frozen=True)
class Run:
    """A run that ended.

    Attributes:
        folder: The folder that it ran in, with `store` in it.
        config: What it ran.
        content: Content digest and every metric, by stage.
        made: The stages that did not find their artifact in the store.
    """

    folder: Path
    config: BenchmarkConfig
    content: dict[str, tuple[str, dict[str, float]]]
    made: set[str]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def results(self) -> dict[str, object]:
        flat: dict[str, object] = json.loads((self.folder / "runs/small/results.json").read_text())
        return flat


def commits(store: Path) -> dict[Path, int]:
    """Return when each artifact of a store was committed."""
    return {path: path.stat().st_mtime_ns for path in store.glob("*/*/manifest.json")}


def content_of(manifest: Path) -> tuple[str, dict[str, float]]:
    read = Manifest.model_validate_json(manifest.read_bytes())
    return read.digest, read.metrics


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread, as the subprocesses of these tests do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of subprocesses: one thread, and one Prefect database for all."""
    return {**os.environ, **ONE_THREAD, **PATIENCE, "COLUMNS": "200"}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment file."""
    file = tmp_path_factory.mktemp("experiment") / "small.yaml"
    file.write_text(SMALL)
    return file


@pytest.fixture(scope="session")
def sane(environment: dict[str, str]) -> Sane:
    """Call the command line in a folder."""

    def call(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli", *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=1200
        )

    return call


@pytest.fixture(scope="session")
def reference(small: Path, sane: Sane, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The undisturbed run, by the command line. Work on copies of its store."""
    folder = tmp_path_factory.mktemp("reference")
    done = sane("run", small, cwd=folder)
    assert done.returncode == 0, done.stderr
    content = {path.parts[-3]: content_of(path) for path in commits(folder / "store")}
    return Run(folder, load_configuration(small), content, {*content})


@pytest.fixture
def store(reference: Run, tmp_path: Path) -> Path:
    """A copy of the reference's store."""
    return Path(shutil.copytree(reference.store, tmp_path / "store"))


@pytest.fixture
def run_all() -> RunAll:
    """Run every stage in this process, without Prefect."""

    def run(store: Path, config: BenchmarkConfig) -> Run:
        before = commits(store)
        content = {}

        def one(stage: Stage, settings: Record, **inputs: Artifact) -> Artifact:
            artifact = stage(settings, at=Place(store=str(store), seed=config.seed), **inputs)
            content[stage.name] = content_of(Path(artifact.uri) / "manifest.json")
            return artifact

        run_stages(one, config, config.zoos[0])
        made = {path.parts[-3] for path, _ in commits(store).items() - before.items()}
        return Run(store.parent, config, content, made)

    return run


def save_checkpoint(store: Path, run: int, path: Path) -> Path:
    """Write what a run of the zoo was after its last epoch to a file."""
    (weights,) = store.glob("zoo/*/weights")
    rows = [row for file in sorted(weights.iterdir()) for row in pq.read_table(file).to_pylist()]
    entries = {
        row["name"]: torch.tensor(np.array(row["values"], np.float32).reshape(row["shape"]))
        for row in rows
        if (row["run"], row["epoch"]) == (run, 2)
    }
    torch.save(entries, path)
    return path


@pytest.fixture(scope="session")
def network(reference: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run 3 of the zoo after its last epoch, in a file."""
    return save_checkpoint(reference.store, 3, tmp_path_factory.mktemp("network") / "net.pt")
