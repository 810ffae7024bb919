"""Cut networks into tokens, write and read them, and see windows of their permuted views.

The physical limits: one copy of a ResNet-18's weights in memory, a plain write of the tokens' bytes
to the same disk, and a copy of the window. Short work is timed by its best repeat: other processes
only ever add to it.
"""

import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shared.plain_tokens import plain_tokenize
from shared.rows import Row, alternate

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.files import read_tokens, write_weights
from sane_core.weights.layers import Layer, largest_row, layers_of_architecture, token_count
from sane_core.weights.standardize import measure
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import permute, random_permutations
from sane_core.weights.tokens import detokenize, tokenize
from sane_core.windows.views import draw_views

D_T = 288
WINDOW = 256
EPOCHS = 51
LAYER = 3
"""The layer that is read alone."""

Weights = dict[str, np.ndarray]


def measure_tokens(quick: bool) -> list[Row]:
    repeats = 9 if quick else 31
    return _cutting(repeats) + _views(repeats) + (_zoo(125, 1) if quick else _zoo(500, 2))


def _cutting(repeats: int) -> list[Row]:
    weights, layers = _network("resnet18")
    one = {name: values[0] for name, values in weights.items()}
    flat = np.concatenate([values.ravel() for values in weights.values()])
    copy, tokens = flat.copy(), tokenize(weights, layers, D_T)
    back, statistics = detokenize(tokens, layers), measure(weights, layers)
    variants: dict[str, Callable[[], object]] = {
        "copy": partial(np.copyto, copy, flat),
        "rows": partial(plain_tokenize, one, layers, D_T),
        "tokenize": partial(tokenize, weights, layers, D_T, out=tokens),
        "tokenize.fresh-memory": partial(tokenize, weights, layers, D_T),
        "tokenize.standardized": partial(tokenize, weights, layers, D_T, statistics, out=tokens),
        "detokenize": partial(detokenize, tokens, layers, out=back),
    }
    taken = {name: min(seconds) for name, seconds in alternate(variants, repeats).items()}
    rate = {name: flat.nbytes / seconds / 1e9 for name, seconds in taken.items()}
    rows = [Row("memory.copy", rate["copy"], "GB/s")]
    for name in list(variants)[2:]:
        ratio = taken["rows"] / taken[name]
        against = "cutting row by row in Python"
        rows.append(Row(f"resnet18.{name}", rate[name], "GB/s", against, ratio, rate["copy"]))
    return rows


def _views(repeats: int) -> list[Row]:
    weights, layers = _network("resnet18")
    groups = groups_of(architecture_named("resnet18"))
    tokens = tokenize(weights, layers, D_T)
    views = draw_views(layers, groups, D_T, 1, rng_for(0, "views"))
    start = len(tokens[0]) // 2
    window = np.empty((1, WINDOW, D_T), np.float32)

    def again() -> None:
        permutations = random_permutations(groups, 1, rng_for(0, "views"))
        tokenize(permute(weights, groups, permutations), layers, D_T, out=tokens)

    variants: dict[str, Callable[[], object]] = {
        "copy": partial(np.copyto, window[0], tokens[0, start : start + WINDOW]),
        "draw": partial(draw_views, layers, groups, D_T, 1, rng_for(0, "views")),
        "see": partial(views.see, tokens[0], start, start + WINDOW, window),
        "again": again,
    }
    taken = {name: min(seconds) for name, seconds in alternate(variants, repeats).items()}
    against = "permuting the network and cutting it again"
    limit = 1 / taken["copy"]
    return [
        Row("resnet18.view.draw", 1 / taken["draw"], "views/s"),
        Row(
            f"resnet18.view.window{WINDOW}",
            1 / taken["see"],
            "windows/s",
            against,
            taken["again"] / taken["see"],
            limit,
        ),
    ]


def _zoo(runs: int, parts: int) -> list[Row]:
    """Measure a zoo of `parts` times `runs` CNNs: a part's weights are in memory at once."""
    _, layers = _network("cnn")
    d_t = largest_row(layers)
    size = 4 * parts * runs * EPOCHS * token_count(layers, d_t) * d_t
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name) / "split=train"
        folder.mkdir()
        taken = [
            _write(folder, layers, d_t, runs, part, Path(name) / "plain") for part in range(parts)
        ]
        written, plain = (sum(seconds) for seconds in zip(*taken, strict=True))
        stored = sum(path.stat().st_size for path in folder.iterdir())
        start = time.perf_counter()
        read_tokens(folder.parent, "train")
        read = time.perf_counter() - start
        share, seconds = _one_layer(folder, EPOCHS // 2)
    zoo = f"cnn.{parts * runs}x{EPOCHS}"
    against = "a plain write of the tokens"
    return [
        Row(
            f"{zoo}.write",
            size / written / 1e6,
            "MB/s",
            against,
            plain / written,
            size / plain / 1e6,
        ),
        Row(f"{zoo}.size", stored / size, "of the tokens' bytes"),
        Row(f"{zoo}.read", size / read / 1e6, "MB/s"),
        Row(f"{zoo}.one-layer-of-one-epoch", share, "of the file's bytes"),
        Row(f"{zoo}.one-layer-of-one-epoch", 1e3 * seconds, "ms"),
    ]


def _write(
    folder: Path, layers: tuple[Layer, ...], d_t: int, runs: int, part: int, plain: Path
) -> tuple[float, float]:
    """Standardize, tokenize and write a part; return the seconds, and those of a plain write."""
    epoch, run = (axis.ravel() for axis in np.mgrid[:EPOCHS, :runs])
    weights, _ = _network("cnn", len(run), seed=part)
    statistics = measure(weights, layers)
    path = folder / f"part-{part:05d}.parquet"
    start = time.perf_counter()
    write_weights(path, weights, layers, d_t, statistics, run + part * runs, epoch)
    written = time.perf_counter() - start
    some = {name: values[:runs] for name, values in weights.items()}
    tokens = tokenize(some, layers, d_t, statistics)
    start = time.perf_counter()
    with plain.open("wb") as file:
        for _ in range(EPOCHS):
            file.write(tokens.data)
    plainly = time.perf_counter() - start
    plain.unlink()
    return written, plainly


class _Counting(io.FileIO):
    """A file that counts what is read of it."""

    touched = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size) or b""
        self.touched += len(data)
        return data


def _one_layer(folder: Path, epoch: int) -> tuple[float, float]:
    """Read one layer of one epoch of all runs; return the share of the bytes, and the seconds."""
    touched, size = 0, 0
    start = time.perf_counter()
    for path in sorted(folder.iterdir()):
        with _Counting(path) as file:
            wanted = [("epoch", "==", epoch), ("l", "==", LAYER)]
            pq.read_table(pa.PythonFile(file, "r"), columns=["run", "values"], filters=wanted)
            touched += file.touched
        size += path.stat().st_size
    return touched / size, time.perf_counter() - start


def _network(name: str, models: int = 1, seed: int = 0) -> tuple[Weights, tuple[Layer, ...]]:
    architecture = architecture_named(name)
    rng = rng_for(seed, "weights")
    weights = {
        entry: rng.standard_normal((models, *shape), np.float32)
        for entry, shape in (architecture.shapes() | architecture.buffers()).items()
    }
    return weights, layers_of_architecture(architecture)
