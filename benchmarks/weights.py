"""From weights to tokens: cutting, alignment, and the memory that a whole zoo takes.

`shared/tokens.py` and `shared/alignment.py` say what is measured there, and against what. Memory is
the peak of a process that aligns, standardizes and tokenizes a synthetic zoo, everything that it
imports included; it must not grow with the zoo.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shared.alignment import measure_alignment
from shared.apart import apart
from shared.rows import Row, benchmark
from shared.tokens import measure_tokens

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from sane_core.zoo.weight_shards import RowGroup, ShardWriter
from schemas.config.preprocess import PreprocessConfig
from schemas.tables import CHECKPOINTS


def measure(quick: bool) -> list[Row]:
    return [*measure_tokens(quick), *measure_alignment(quick), *_memory(quick)]


def _memory(quick: bool) -> list[Row]:
    zoos = [("cnn", 20, 50), ("cnn", 40, 50)] if quick else [("cnn", 100, 50), ("cnn", 200, 50)]
    rows = []
    for name, runs, epochs in [*zoos, ("resnet18", 3, 1) if quick else ("resnet101", 3, 2)]:
        with tempfile.TemporaryDirectory(prefix="sane-weights-") as folder:
            zoo = _write_zoo(Path(folder) / "zoo", name, runs, epochs)
            seconds, peak = apart(_preprocess, zoo, Path(folder))
        case = f"{name}.{runs * epochs}-checkpoints"
        rows.append(Row(f"{case}.memory", peak, "MB at the peak"))
        rows.append(Row(f"{case}.seconds", seconds, "s"))
    return rows


def _preprocess(zoo: Path, folder: Path) -> float:
    for name in ("tokens", "scratch"):
        (folder / name).mkdir()
    start = time.perf_counter()
    config = PreprocessConfig(d_t=288)
    preprocess_zoo(zoo, config, 0, PlainWork(folder / "tokens", folder / "scratch"))
    return time.perf_counter() - start


def _write_zoo(zoo: Path, name: str, runs: int, epochs: int) -> Path:
    """Write networks of random weights, all of the train split."""
    architecture = architecture_named(name)
    (zoo / "weights").mkdir(parents=True)
    rng = rng_for(0, "zoo")
    dtypes = dict.fromkeys([*architecture.shapes(), *architecture.buffers()], "float32")
    with ShardWriter(zoo / "weights" / "part-00000.parquet", RowGroup()) as writer:
        for epoch in range(epochs):
            for run in range(runs):
                entries = {
                    entry: 0.02 * rng.standard_normal(shape, np.float32)
                    for entry, shape in architecture.shapes().items()
                }
                entries |= {
                    entry: np.ones(shape, np.float32)
                    for entry, shape in architecture.buffers().items()
                }
                writer.add(run, epoch, entries, dtypes)
    pairs = [(run, epoch) for run in range(runs) for epoch in range(epochs)]
    known = {
        "run": [run for run, _ in pairs],
        "epoch": [epoch for _, epoch in pairs],
        "split": ["train"] * len(pairs),
        "architecture": [name] * len(pairs),
        "test_accuracy": rng.random(len(pairs)),
    }
    columns = [pa.array(known.get(f.name, [None] * len(pairs)), f.type) for f in CHECKPOINTS]
    pq.write_table(pa.table(columns, schema=CHECKPOINTS), zoo / "checkpoints.parquet")
    return zoo


if __name__ == "__main__":
    benchmark(__doc__, measure)
