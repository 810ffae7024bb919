"""Ingest zoos in the published layout: checkpoints and megabytes a second, and the peak memory.

Every ingestion runs in a process of its own, after a small one that imports and warms up what it
needs. The physical limit is to read, hash and write every file once, one after another: an
ingestion cannot do less, but may do it on several cores.
"""

import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path

import torch
from shared.apart import apart
from shared.rows import Row, benchmark, median

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.ingest import ingest
from schemas.config.ingest import IngestConfig

EPOCHS = 50
"""Of a run of CNNs."""
RESNET_EPOCHS = 4


def measure(quick: bool) -> list[Row]:
    few, many, resnets = 100, 2000 if quick else 10_000, 8 if quick else 24
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory(prefix="sane-ingest-") as name:
        folder = Path(name)
        small = _write_zoo(folder / "few", "cnn", few, EPOCHS)
        rows = _rates(folder, "cnn", many, EPOCHS, small, repeats)
        rows += _rates(folder, "resnet18", resnets, RESNET_EPOCHS, small, repeats)
        rows.append(Row(f"memory.cnn-{few}", _apart(small, small)[1], "MB at the peak"))
    peak = {row.name: row.value for row in rows}
    added = (peak[f"memory.cnn-{many}"] - peak[f"memory.cnn-{many // 2}"]) / (many // 2)
    return [*rows, Row("memory.per_further_cnn", 1e3 * added, "kB")]


def _rates(
    folder: Path, architecture: str, checkpoints: int, epochs: int, small: Path, repeats: int
) -> list[Row]:
    zoo = _write_zoo(folder / architecture, architecture, checkpoints, epochs)
    files = sorted(zoo.glob("*/*/checkpoints"))
    size = sum(path.stat().st_size for path in files)
    least = median([_copied(files, folder / "copy") for _ in range(repeats)])
    plain = median([_loaded(files) for _ in range(repeats)])
    results = [_apart(zoo, small) for _ in range(repeats)]
    seconds = median([result[0] for result in results])
    for run in sorted(zoo.iterdir())[1::2]:
        shutil.rmtree(run)
    half = _apart(zoo, small)[1]
    shutil.rmtree(zoo)
    case = f"{architecture}-{checkpoints}"
    rows = [
        Row(
            f"ingest.{case}",
            checkpoints / seconds,
            "checkpoints/s",
            "torch.load alone, one after another",
            plain / seconds,
            checkpoints / least,
        ),
        Row(f"memory.{case}", max(result[1] for result in results), "MB at the peak"),
        Row(f"memory.{architecture}-{checkpoints // 2}", half, "MB at the peak"),
    ]
    if size > 2**20 * checkpoints:
        rate, limit = size / seconds / 1e6, size / least / 1e6
        rows.append(Row(f"ingest.{case}.bytes", rate, "MB/s", limit=limit))
    return rows


def _apart(zoo: Path, small: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory (MB) of an ingestion in a new process."""
    return apart(_ingest, zoo, small)


def _ingest(zoo: Path, small: Path) -> float:
    _ingest_into_nothing(small)
    start = time.perf_counter()
    _ingest_into_nothing(zoo)
    return time.perf_counter() - start


def _ingest_into_nothing(zoo: Path) -> None:
    with tempfile.TemporaryDirectory(dir=zoo.parent) as name:
        config = IngestConfig(name="zoo", source=str(zoo))
        metrics = ingest(zoo, Path(name), Path(name), config, seed=0)
        assert not metrics["zoo.quarantined"], "the synthetic zoo has no faults"


def _copied(files: list[Path], target: Path) -> float:
    """Return the seconds to read, hash and write every file."""
    start = time.perf_counter()
    with target.open("wb") as out:
        for path in files:
            data = path.read_bytes()
            hashlib.sha256(data).hexdigest()
            out.write(data)
    seconds = time.perf_counter() - start
    target.unlink()
    return seconds


def _loaded(files: list[Path]) -> float:
    start = time.perf_counter()
    for path in files:
        torch.load(path, weights_only=True)
    return time.perf_counter() - start


def _write_zoo(zoo: Path, architecture: str, checkpoints: int, epochs: int) -> Path:
    state = architecture_named(architecture).build().state_dict()
    generator = torch.Generator().manual_seed(0)
    for run in range(checkpoints // epochs):
        folder = zoo / f"NN_tune_trainable_00000_{run:05d}_{run}_seed={run}_2021-01-01_00-00-00"
        folder.mkdir(parents=True)
        parameters = {"seed": run, "optim::lr": 3e-4, "model::type": architecture}
        (folder / "params.json").write_text(json.dumps(parameters))
        lines = [
            json.dumps({"test_acc": 0.5, "train_acc": 0.6, "training_iteration": epoch})
            for epoch in range(epochs)
        ]
        (folder / "result.json").write_text("\n".join(lines) + "\n")
        for epoch in range(epochs):
            (folder / f"checkpoint_{epoch:06d}").mkdir()
            network = {
                name: torch.randn(w.shape, generator=generator) * 0.05
                if w.is_floating_point()
                else w
                for name, w in state.items()
            }
            torch.save(network, folder / f"checkpoint_{epoch:06d}" / "checkpoints")
    return zoo


if __name__ == "__main__":
    benchmark(__doc__, measure)
