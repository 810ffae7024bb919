"""Read epochs of windows in random order, in batches of 32, from files that the system has cached.

The limit is a plain gather of the same bytes: tokens, positions and lengths of the same windows,
each from a memory-mapped array of its own (`array[indices]`), as they are stored. The readers give
batches with positions and lengths in 64 bits on top. Loading on the fly is `torch.load` of one
checkpoint of the architecture for every window, and nothing else: no alignment, no standardization,
no tokens, no views. Epochs are timed by their best repeat: other processes only ever add to it.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from shared.rows import Row, alternate

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.windows.facts import ShardFacts, SplitFacts, WindowFacts, write_facts
from sane_core.windows.layout import WindowSpec
from sane_core.windows.reader import WindowReader, open_windows
from sane_core.windows.write import Window, write_beton

VIEWS = 6
"""The aligned one and five permuted ones."""
BATCH = 32
SHARDS = 3
CASES = {"256x288": (256, 288, "resnet18"), "32x201": (32, 201, "cnn")}
"""Window length, token size, and the architecture that such windows are of."""


def measure_reading(quick: bool) -> list[Row]:
    rows = []
    for name, (length, d_t, architecture) in CASES.items():
        for shards in (1, SHARDS):
            with tempfile.TemporaryDirectory(prefix="sane-windows-") as folder:
                case = f"read.{name}.{shards}-shards" if shards > 1 else f"read.{name}"
                rows += _reading(Path(folder), case, length, d_t, architecture, shards, quick)
    return rows


def _reading(
    folder: Path, case: str, length: int, d_t: int, architecture: str, shards: int, quick: bool
) -> list[Row]:
    spec = WindowSpec(1, VIEWS, length, d_t, "float16", "int32")
    samples = (4 if quick else 10) * 10**8 // spec.sample_bytes // (BATCH * shards) * BATCH * shards
    size = samples * spec.sample_bytes
    arrays = _write(folder, spec, samples, shards)
    readers = {by: open_windows([folder], "train", by) for by in ("ffcv", "numpy")}
    order = rng_for(0, "order").permutation(samples)
    batches = np.split(order, len(order) // BATCH)
    variants: dict[str, Callable[[], object]] = {
        "gather": partial(_gather, arrays, batches),
        **{by: partial(_read, reader, batches) for by, reader in readers.items()},
    }
    repeats = 7 if quick else 15
    taken = {name: min(seconds) for name, seconds in alternate(variants, repeats).items()}
    loaded = _on_the_fly(folder / "checkpoint.pt", architecture, 20 if quick else 100)
    rate = {name: size / seconds / 1e9 for name, seconds in taken.items()}
    rows = [Row(f"{case}.gather", rate["gather"], "GB/s")]
    for by in readers:
        faster = loaded / (taken[by] / samples)
        against = "torch.load of a checkpoint for every window"
        rows.append(Row(f"{case}.{by}", rate[by], "GB/s", against, faster, rate["gather"]))
    return rows


def _read(reader: WindowReader, batches: list[np.ndarray]) -> None:
    for _ in reader.epoch_batches(batches):
        pass


def _gather(arrays: list[np.ndarray], batches: list[np.ndarray]) -> None:
    kept: object
    for indices in batches:
        # A batch is kept until the next one is there, as it is by who uses it.
        kept = [array[indices] for array in arrays]
    del kept


def _on_the_fly(path: Path, architecture: str, repeats: int) -> float:
    """Return the seconds to load one checkpoint."""
    torch.save(architecture_named(architecture).build().state_dict(), path)
    load = partial(torch.load, path, weights_only=True)
    return min(alternate({"load": load}, repeats)["load"])


def _write(folder: Path, spec: WindowSpec, samples: int, shards: int) -> list[np.ndarray]:
    """Write a set, and the same windows as plain arrays; return those, memory-mapped."""
    plain = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", field.dtype, (samples, *field.shape)
        )
        for name, field in spec.arrays.items()
    }
    own = samples // shards
    of_shard = WindowSpec(own, spec.views, spec.length, spec.d_t, spec.dtype, spec.position_dtype)
    listed = []
    for shard in range(shards):
        path = folder / f"train-{shard:05d}.beton"
        runs = np.arange(shard * own, (shard + 1) * own)
        windows = _windows(of_shard, plain, shard * own)
        sidecar = write_beton(path, of_shard, runs, np.zeros(own, int), windows)
        listed.append(ShardFacts(path.name, own, sidecar.size, sidecar.sha256))
    split = SplitFacts(tuple(listed), 1, 1.0)
    facts = WindowFacts(
        d_t=spec.d_t,
        length=spec.length,
        dtype=spec.dtype,
        views=spec.views,
        positions=(1, 1, 1),
        weights_per_token=float(spec.d_t),
        architecture="",
        layer_variances=(1.0,),
        train=split,
        validation=split,
    )
    write_facts(folder / "windows.json", facts)
    return list(plain.values())


def _windows(spec: WindowSpec, plain: dict[str, np.ndarray], first: int) -> Iterator[Window]:
    rng = rng_for(first, "windows")
    tokens = rng.standard_normal(spec.arrays["tokens"].shape, np.float32).astype(np.float16)
    for sample in range(spec.samples):
        tokens[0, 0, 0] = sample
        window = Window(
            tokens,
            rng.integers(0, 100, spec.arrays["positions"].shape),
            rng.integers(0, spec.d_t, spec.arrays["lengths"].shape),
        )
        stored = (tokens.view(np.int16), window.positions, window.lengths)
        for array, values in zip(plain.values(), stored, strict=True):
            array[first + sample] = values
        yield window
