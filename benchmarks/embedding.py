"""Embedding against the rate of the machine's matrix products, a whole zoo, and a ResNet-101.

The limit is the rate of the encoder's own matrix products alone, in float32: the shapes of all its
layers, at the better of two numbers of rows, attention's left out. Embedding is `encode` and all
poolings, of networks of a CNN's size in memory; its work counts attention as well. Limit and
embedding are measured in turns, on one thread and on all of them, and both are their best repeat:
other processes only ever add to them. Where these are many, threads wait for each other, and what
one thread does is the better measure.

The zoo stands for 1,000 runs of 51 checkpoints of the MNIST CNN, the preset is `tiny`: a part of it
is embedded, from Parquet (in the page cache) to Parquet, and its time is scaled up to all of them:
the time that the processor worked, on one thread, which is what the wall would show on one idle
core, and that of the wall, on all threads.

Memory is the peak of a process, everything that it imports included, that embeds a zoo of three
ResNet-101s, one per split. The preset `resnet18` (865 million weights) takes too long on a CPU for
that: it is stopped after a few passes, when a checkpoint, a batch of chunks and all that passes
need are in memory; the latents to come and their pooling are in the row of the small one.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from shared.apart import apart
from shared.rows import Row, benchmark

from sane_core.architectures.registry import architecture_named
from sane_core.embedding.embed import encode
from sane_core.embedding.halo import split_with_halo
from sane_core.embedding.pooling import pool
from sane_core.embedding.zoo import write_embedded_zoo
from sane_core.pretraining.autoencoder import Autoencoder, AutoencoderShape, build
from sane_core.pretraining.files import load
from sane_core.seeding import rng_for
from sane_core.weights.files import TokenSet, write_layers, write_tokens
from sane_core.weights.layers import Layer, largest_row, layers_of_architecture, token_count
from sane_core.weights.shards import SPLITS
from sane_core.weights.standardize import measure as statistics_of
from sane_core.weights.tokens import lengths_of, positions_of
from schemas.config.embed import EmbedConfig
from schemas.config.presets import preset_named
from schemas.config.pretrain import AutoencoderConfig
from schemas.tables import CHECKPOINTS

ZOO = 1_000 * 51
ENOUGH = 8
"""Passes after which a large autoencoder has all in memory that it ever has of a pass."""


def measure(quick: bool) -> list[Row]:
    rows, every = [], torch.get_num_threads()
    for threads in (1,) if quick else (1, every):
        torch.set_num_threads(threads)
        for name, models in (("tiny", 64), ("cnn", 4)):
            found = _share(name, models, 4 if quick else 40)
            rows += [replace(row, name=f"{row.name}.{threads}-threads") for row in found]
    rows += _zoo(102 if quick else 2_550, every)
    rows += _memory(quick)
    return rows


def _share(preset: str, models: int, seconds: float) -> list[Row]:
    """Return the rate of products alone, and of encoding with and without pooling.

    So many seconds are spent on it, and three repeats at least.
    """
    found = preset_named(preset)
    config, sizes = found.pretrain.autoencoder, found.embed
    layers = layers_of_architecture(architecture_named("cnn"), "exclude")
    d_t = largest_row(layers)
    positions, lengths = positions_of(layers, d_t), lengths_of(layers, d_t)
    model = build(AutoencoderShape(d_t, found.window or 1, _sizes(positions)), config, 0).eval()
    values = rng_for(0, "tokens").standard_normal((models, len(positions), d_t), np.float32)
    work = models * _operations(model, len(positions), sizes)
    rates: dict[str, list[float]] = {"limit": [], "encoding": [], "embedding": []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rates["limit"]) < 3:
        rates["limit"].append(_matrix_rate(model))
        begun = time.perf_counter()
        latents = encode(model, values, positions, lengths, sizes)
        encoded = time.perf_counter()
        pool("sane", latents, positions[:, 1])
        pooled = time.perf_counter()
        rates["encoding"].append(work / (encoded - begun))
        rates["embedding"].append(work / (pooled - begun))
    limit = max(rates["limit"]) / 1e9
    return [
        Row(f"{preset}.matrix-products", limit, "GFLOP/s"),
        Row(f"{preset}.encoding", max(rates["encoding"]) / 1e9, "GFLOP/s", limit=limit),
        Row(f"{preset}.embedding", max(rates["embedding"]) / 1e9, "GFLOP/s", limit=limit),
    ]


def _operations(model: Autoencoder, tokens: int, sizes: EmbedConfig) -> float:
    """Return the floating-point operations of encoding one network, halos included."""
    config = model.config
    weights = sum(outputs * inputs for outputs, inputs in _products(model))
    widths = [c.high - c.low for c in split_with_halo(tokens, sizes.chunk, sizes.halo)]
    attention = 4 * config.layers * config.d_model
    return float(sum(2 * width * weights + attention * width**2 for width in widths))


def _products(model: Autoencoder) -> list[tuple[int, int]]:
    """Return outputs and inputs of every matrix of the encoder."""
    linear = torch.nn.Linear
    inside = [module for module in model.encoder.modules() if isinstance(module, linear)]
    return [tuple(m.weight.shape) for m in (model.tokens_in, *inside, model.latents_out)]


@torch.inference_mode()
def _matrix_rate(model: Autoencoder) -> float:
    """Return operations per second of the encoder's products alone."""
    rates = []
    for rows in (256, 1_024) if model.config.d_model < 512 else (128, 256):
        pairs = [(torch.randn(rows, i), torch.randn(o, i)) for o, i in _products(model)]
        work = sum(2 * rows * w.numel() for _, w in pairs)
        for _ in range(2):
            begun = time.perf_counter()
            for x, w in pairs:
                torch.nn.functional.linear(x, w)
            rates.append(work / (time.perf_counter() - begun))
    return max(rates)


def _zoo(checkpoints: int, threads: int) -> list[Row]:
    """Return minutes for a whole zoo, by those of a part."""
    found, rows = preset_named("tiny"), []
    with tempfile.TemporaryDirectory(prefix="sane-embedding-") as name:
        folder = Path(name)
        write_zoo(folder, "cnn", 0, checkpoints)
        write_model(folder, found.pretrain.autoencoder, found.window or 1)
        for name, clock, used in (
            ("processor", time.process_time, 1),
            ("wall", time.perf_counter, threads),
        ):
            torch.set_num_threads(used)
            taken = []
            for _ in range(3):
                begun = clock()
                write_embedded_zoo(
                    folder, load(folder / "model"), folder / "tokens", (0,), found.embed
                )
                taken.append(clock() - begun)
            minutes = min(taken) / checkpoints * ZOO / 60
            against = f"5 minutes; {checkpoints} checkpoints took {min(taken):.1f} s"
            rows.append(
                Row(f"zoo.1000x51.tiny.{name}.{used}-threads", minutes, "minutes", against,
                    5 / minutes)
            )  # fmt: skip
    return rows


def _memory(quick: bool) -> list[Row]:
    rows = []
    large = preset_named("resnet18")
    small = AutoencoderConfig(d_z=large.pretrain.autoencoder.d_z)
    cases = [("small", small, EmbedConfig(), None)]
    if not quick:
        cases.append(("resnet18", large.pretrain.autoencoder, large.embed, ENOUGH))
    with tempfile.TemporaryDirectory(prefix="sane-embedding-") as name:
        folder = Path(name)
        apart(write_zoo, folder, "resnet18" if quick else "resnet101", large.d_t, 3)
        for case, config, sizes, passes in cases:
            apart(write_model, folder, config, large.window or 1)
            seconds, peak = apart(_embed, folder, sizes, passes)
            of = "3 ResNet-18s" if quick else "3 ResNet-101s"
            against = f"4 GB; {of}, {f'{passes} passes' if passes else 'whole'}, {seconds:.0f} s"
            rows.append(Row(f"memory.{case}-autoencoder", peak, "MB", against, peak / 4_000))
    return rows


def write_zoo(folder: Path, architecture: str, d_t: int, checkpoints: int) -> None:
    """Write tokens of random weights as the preprocess stage would: its splits, one epoch."""
    layers = layers_of_architecture(architecture_named(architecture), "exclude")
    d_t = d_t or largest_row(layers)
    positions, lengths = positions_of(layers, d_t), lengths_of(layers, d_t)
    parts = (checkpoints - 2 * (checkpoints * 15 // 100 or 1), checkpoints * 15 // 100 or 1)
    rows, run = [], 0
    for split, count in zip(SPLITS, (parts[0], parts[1], parts[1]), strict=True):
        runs = np.arange(run, run + count)
        run += count
        path = folder / "tokens" / f"split={split}" / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        values = rng_for(0, split).standard_normal((count, len(positions), d_t), np.float32)
        values *= np.arange(d_t) < lengths[:, None]
        write_tokens(path, TokenSet(values, positions, lengths, runs, np.zeros(count, np.int64)))
        for i, each in enumerate(runs.tolist()):
            first = i * len(positions)
            at = {"first_token": first, "last_token": first + len(positions) - 1}
            rows.append({"run": each, "epoch": 0, "split": split} | at)
    table = pa.Table.from_pylist(rows, schema=CHECKPOINTS)
    pq.write_table(table, folder / "checkpoints.parquet")
    _write_layers(folder / "layers.parquet", architecture, layers, d_t)


def _write_layers(path: Path, architecture: str, layers: tuple[Layer, ...], d_t: int) -> None:
    shapes = architecture_named(architecture).shapes()
    weights = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
    write_layers(path, architecture, layers, d_t, statistics_of(weights, layers, "none"))


def write_model(folder: Path, config: AutoencoderConfig, window: int) -> None:
    """Write an autoencoder of random weights for the tokens there, as the model stage would."""
    schema = pq.read_schema(folder / "tokens" / "split=train" / "part-00000.parquet")
    d_t = schema.field("values").type.list_size
    layers = pq.read_table(folder / "layers.parquet", columns=["architecture", "l"])
    name = layers["architecture"][0].as_py()
    known = layers_of_architecture(architecture_named(name), "exclude")
    assert token_count(known, d_t) > 0
    shape = AutoencoderShape(d_t, window, _sizes(positions_of(known, d_t)))
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in Autoencoder(shape, config).state_dict().items()}
    made = folder / "model"
    made.mkdir(exist_ok=True)
    weights = {k: torch.empty(size).normal_(std=0.02) for k, size in shapes.items()}
    save_file(weights, made / "model.safetensors")
    described = {"shape": asdict(shape), "autoencoder": config.model_dump()}
    (made / "config.json").write_text(json.dumps(described))


class _Stopped(Exception):
    """Enough was measured."""


def _embed(folder: Path, sizes: EmbedConfig, passes: int | None) -> float:
    """Embed a zoo, or stop after so many passes; return the seconds."""
    begun = time.perf_counter()
    model = load(folder / "model")
    if passes:
        model.encode = _only(model.encode, passes)  # type: ignore[method-assign]
    with suppress(_Stopped):
        write_embedded_zoo(folder, model, folder / "tokens", (0,), sizes)
    return time.perf_counter() - begun


def _only(step: Callable[..., torch.Tensor], passes: int) -> Callable[..., torch.Tensor]:
    left: Iterator[int] = iter(range(passes))

    def limited(*arguments: torch.Tensor) -> torch.Tensor:
        if next(left, None) is None:
            raise _Stopped
        return step(*arguments)

    return limited


def _sizes(positions: np.ndarray) -> tuple[int, int, int]:
    n, l, k = (positions.max(0) + 1).tolist()
    return n, l, k


if __name__ == "__main__":
    benchmark(__doc__, measure)
