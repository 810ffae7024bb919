"""Window sets to read: some of arrays drawn at random, some compiled from a small zoo's tokens."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.files import write_layers, write_weights
from sane_core.weights.layers import layers_of_architecture, token_count
from sane_core.weights.standardize import measure
from sane_core.windows.beton import Sidecar
from sane_core.windows.facts import ShardFacts, SplitFacts, WindowFacts, write_facts
from sane_core.windows.layout import WindowSpec
from sane_core.windows.write import Window, write_beton
from schemas.tables import CHECKPOINTS

RUNS, EPOCHS, VIEWS, LENGTH, D_T = 12, 25, 3, 8, 31


@dataclass(frozen=True)
class Arrays:
    """All windows of a file."""

    tokens: np.ndarray
    positions: np.ndarray
    lengths: np.ndarray
    runs: np.ndarray
    epochs: np.ndarray

    def spec(self, dtype: str) -> WindowSpec:
        wide = "int16" if self.positions.max() < 2**15 else "int32"
        return WindowSpec(*self.tokens.shape, dtype, wide)

    def write(self, path: Path, dtype: str) -> Sidecar:
        windows = map(Window, self.tokens, self.positions, self.lengths)
        return write_beton(path, self.spec(dtype), self.runs, self.epochs, windows)


def draw_windows(highest_position: int = 100, samples: int = RUNS * EPOCHS, seed=0) -> Arrays:
    rng = rng_for(seed, "test windows")
    return Arrays(
        tokens=rng.standard_normal((samples, VIEWS, LENGTH, D_T), dtype=np.float32),
        positions=rng.integers(0, highest_position, (samples, LENGTH, 3), endpoint=True),
        lengths=rng.integers(0, D_T, (samples, VIEWS, LENGTH), endpoint=True),
        runs=np.arange(samples) // EPOCHS,
        epochs=np.arange(samples) % EPOCHS,
    )


@pytest.fixture(scope="session")
def drawn() -> Callable[..., Arrays]:
    return draw_windows


@pytest.fixture(scope="session")
def write_set() -> Callable[..., Path]:
    """Write a folder like that of the windows stage, whose train split is of some shards."""

    def write(folder: Path, shards: list[Arrays], dtype: str = "float16", **changes) -> Path:
        listed = []
        for number, arrays in enumerate(shards):
            name = f"train-{number:05d}.beton"
            sidecar = arrays.write(folder / name, dtype)
            listed.append(ShardFacts(name, sidecar.spec.samples, sidecar.size, sidecar.sha256))
        spec = shards[0].spec(dtype)
        known = {
            "d_t": spec.d_t,
            "length": spec.length,
            "dtype": dtype,
            "views": spec.views,
            "positions": (101, 101, 101),
            "weights_per_token": 10.0,
            "architecture": "cnn",
            "layer_variances": (1.0, 0.5),
            "train": SplitFacts(tuple(listed), 1, 1.0),
            "validation": SplitFacts((), 1, 1.0),
        }
        write_facts(folder / "windows.json", WindowFacts(**known | changes))
        return folder

    return write


@pytest.fixture(params=["numpy", "ffcv"])
def by(request: pytest.FixtureRequest) -> str:
    """Who reads."""
    if request.param == "ffcv" and importlib.util.find_spec("ffcv") is None:
        pytest.skip("ffcv is not installed")
    return request.param


@pytest.fixture(scope="session")
def write_zoo() -> Callable[..., Path]:
    """Write a folder like that of the tokens stage."""

    def write(
        folder: Path,
        name: str,
        d_t: int,
        runs: dict[str, range],
        epochs: range,
        mode: str = "per_layer",
    ) -> Path:
        architecture = architecture_named(name)
        layers = layers_of_architecture(architecture)
        length, rows = token_count(layers, d_t), []
        statistics = None
        for split, own in runs.items():
            part = folder / "tokens" / f"split={split}" / "part-00000.parquet"
            part.parent.mkdir(parents=True)
            pairs = [(epoch, run) for epoch in epochs for run in own]
            epoch_of, run_of = np.array(pairs).T
            rng = rng_for(0, "zoo", split)
            weights = {
                entry: (1 + len(shape)) * rng.standard_normal((len(pairs), *shape), np.float32)
                for entry, shape in architecture.shapes().items()
            }
            statistics = statistics or measure(weights, layers, mode)
            write_weights(part, weights, layers, d_t, statistics, run_of, epoch_of)
            rows += [
                {
                    "run": run,
                    "epoch": epoch,
                    "split": split,
                    "architecture": name,
                    "first_token": i * length,
                    "last_token": (i + 1) * length - 1,
                }
                for i, (epoch, run) in enumerate(pairs)
            ]
        write_layers(folder / "layers.parquet", name, layers, d_t, statistics)
        table = pa.Table.from_pylist(rows, schema=CHECKPOINTS)
        pq.write_table(table, folder / "checkpoints.parquet")
        return folder

    return write
