"""Windows: how fast they are read, how much room they take, how fast they are compiled.

`shared/windows.py` says what is read, and against what. Room and compilation are measured on a few
networks of random weights and real shapes, with an aligned and five permuted views of every window
and every token covered once, in half precision; room is scaled to a zoo. Memory is the peak of the
compiling process, everything that it imports included; it must not grow with the zoo.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shared.apart import apart
from shared.rows import Row, benchmark
from shared.windows import VIEWS, measure_reading

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.files import write_layers, write_weights
from sane_core.weights.layers import layers_of_architecture, token_count
from sane_core.weights.standardize import identity
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.work import PlainWork
from sane_core.windows.compile import compile_set
from sane_core.windows.facts import WindowFacts
from schemas.config.windows import WindowsConfig
from schemas.tables import CHECKPOINTS

ZOOS = {"resnet18": (288, 256, 140), "cnn": (201, 32, 5000)}
"""Token size, window length, and the checkpoints of a zoo that room is scaled to."""


def measure(quick: bool) -> list[Row]:
    rows = measure_reading(quick)
    for name, counts in {
        "resnet18": (1, 2) if quick else (3, 12),
        "cnn": (50, 200) if quick else (500, 2000),
    }.items():
        rows += _compiling(name, counts)
    return rows


def _compiling(name: str, counts: tuple[int, int]) -> list[Row]:
    d_t, length, whole = ZOOS[name]
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="sane-windows-") as folder:
            tokens = _write_tokens(Path(folder) / "tokens", name, d_t, count)
            (facts, seconds, plain), peak = apart(_compile, tokens, length, Path(folder))
        size = facts.train.bytes + facts.validation.bytes
        case = f"compile.{name}.{count}-checkpoints"
        against = "a plain write of as many bytes, synced"
        rate, limit = size / seconds / 1e6, size / plain / 1e6
        rows.append(Row(case, rate, "MB/s", against, plain / seconds, limit))
        rows.append(Row(f"{case}.memory", peak, "MB at the peak"))
    # All of the train split's files count: their heads, tables and last pages too.
    per_network = facts.train.bytes / counts[-1]
    rows.append(Row(f"room.{name}", per_network / 1e6, "MB a checkpoint"))
    rows.append(Row(f"room.{name}.{whole}-checkpoints", whole * per_network / 1e9, "GB"))
    return rows


def _compile(tokens: Path, length: int, folder: Path) -> tuple[WindowFacts, float, float]:
    """Compile a set; return its facts, the seconds, and those of a plain write of its bytes."""
    (folder / "set").mkdir()
    work = PlainWork(folder / "set", folder / "scratch")
    config = WindowsConfig(length=length, views=VIEWS - 1, dtype="float16", epoch_step=1)
    _import_what_tracing_needs()
    start = time.perf_counter()
    facts = compile_set(tokens, config, 0, work)
    seconds = time.perf_counter() - start
    left, page = facts.train.bytes + facts.validation.bytes, bytes(8 << 20)
    start = time.perf_counter()
    with (folder / "plain").open("wb", buffering=0) as file:
        while left > 0:
            left -= file.write(page[: min(left, len(page))])
        os.fsync(file.fileno())
    return facts, seconds, time.perf_counter() - start


def _import_what_tracing_needs() -> None:
    """Find some network's symmetries: to import what that takes, takes seconds."""
    groups_of(architecture_named("digits-cnn"))


def _write_tokens(folder: Path, name: str, d_t: int, count: int) -> Path:
    """Write tokens of `count` train networks and one for validation, an epoch each."""
    architecture = architecture_named(name)
    layers = layers_of_architecture(architecture)
    statistics, length, rows = identity(layers), token_count(layers, d_t), []
    for split, runs in {"train": range(count), "validation": range(count, count + 1)}.items():
        part = folder / "tokens" / f"split={split}"
        part.mkdir(parents=True)
        step = max(1, 2**27 // (4 * length * d_t))
        for number, first in enumerate(range(runs.start, runs.stop, step)):
            own = np.arange(first, min(first + step, runs.stop))
            rng = rng_for(number, "weights", split)
            weights = {
                entry: rng.standard_normal((len(own), *shape), np.float32)
                for entry, shape in architecture.shapes().items()
            }
            path = part / f"part-{number:05d}.parquet"
            write_weights(path, weights, layers, d_t, statistics, own, np.zeros_like(own))
        rows += [
            {
                "run": run,
                "epoch": 0,
                "split": split,
                "architecture": name,
                "first_token": place * length,
                "last_token": (place + 1) * length - 1,
            }
            for place, run in enumerate(runs)
        ]
    write_layers(folder / "layers.parquet", name, layers, d_t, statistics)
    pq.write_table(pa.Table.from_pylist(rows, schema=CHECKPOINTS), folder / "checkpoints.parquet")
    return folder


if __name__ == "__main__":
    benchmark(__doc__, measure)
