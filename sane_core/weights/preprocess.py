"""Align, standardize and tokenize a zoo (Algorithm 1, steps i to iii).

Alignment runs on raw weights: one reference for all splits, the permutation of a run found at its
last epoch and applied to all of them. Only trained entries are matched; running statistics are
carried along. Statistics come from the train split. The zoo is worked on in shards, first to align
and measure each, then to write its tokens; only shards are in memory.

What may be permuted is found, and tried out on the reference, before there are shards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.weights.align import match, squared_distance
from sane_core.weights.alignment import Alignment, read_alignment, unaligned, write_alignment
from sane_core.weights.checks import check_symmetries, largest_change
from sane_core.weights.files import read_statistics, write_layers, write_weights
from sane_core.weights.layers import Layer, largest_row, layers_of_architecture, token_count
from sane_core.weights.shards import (
    SPLITS,
    Shard,
    Whole,
    checkpoints_in_memory,
    one_architecture,
    reference_of,
    runs_in_shards,
    stored_groups,
    within,
)
from sane_core.weights.standardize import Moments, moments_of, statistics_of
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.tokens import lengths_of
from sane_core.weights.work import Made, Work
from schemas.config.preprocess import PreprocessConfig
from schemas.tables import ALIGNMENT, DISTANCES


def preprocess_zoo(zoo: Path, config: PreprocessConfig, seed: int, work: Work) -> dict[str, float]:
    """Turn a zoo into tokens.

    Args:
        zoo: Folder of the zoo stage.
        config: How to align, standardize, tokenize.
        seed: The run's seed.
        work: Runs the shards; its folder gets `tokens/split=…/`, `layers`, `alignment`, `distances`
            and `checkpoints.parquet`.

    Returns:
        Metrics: mean squared distance to the reference before and after alignment, the largest
        change of any logit by the permutations found, relative to its network's largest, share of
        runs that no further step would bring closer, share of tokens that real weights fill, and
        what was found of the symmetries.

    Raises:
        ValueError: If the zoo has several architectures or no train run, or what was found or
            given of the symmetries, or a permutation, changed a network's function.
    """
    checkpoints = pq.read_table(zoo / "checkpoints.parquet").sort_by(
        [("run", "ascending"), ("epoch", "ascending")]
    )
    reference = reference_of(checkpoints)
    network = architecture_named(one_architecture(checkpoints))
    symmetries = symmetries_of(network)
    whole = Whole(
        zoo=str(zoo),
        architecture=network.name,
        reference=reference,
        config=config,
        seed=seed,
        groups=stored_groups(symmetries.groups, network),
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    check_symmetries(whole, symmetries)
    shards = runs_in_shards(whole, checkpoints)
    layers = layers_of_architecture(network, config.batch_norm)
    d_t = config.d_t or largest_row(layers)

    aligned = work.map(align_shard, shards, name="align")
    measured = tuple(
        str(made.folder)
        for shard, made in zip(shards, aligned, strict=True)
        if shard.split == "train"
    )
    of_layers = _Measured(whole, measured, layers, d_t)
    (statistics,) = work.map(merge_moments, [of_layers], name="statistics")
    parts = [
        TokenShard(piece, str(made.folder), str(statistics.folder), layers, d_t)
        for shard, made in zip(shards, aligned, strict=True)
        for piece in shard.in_pieces(checkpoints_in_memory(network))
    ]
    written = work.map(tokenize_shard, parts, name="tokens")

    work.keep(statistics.folder / "layers.parquet", "layers.parquet")
    _write_joined(work.folder / "alignment.parquet", aligned, ALIGNMENT)
    _write_joined(work.folder / "distances.parquet", aligned, DISTANCES)
    _keep_tokens(work, parts, written)
    _write_checkpoints(work.folder, checkpoints, parts, token_count(layers, d_t))
    return _metrics(work.folder, whole, layers, d_t) | {
        "preprocess.largest_logit_change": max(made.value["change"] for made in aligned),
        "preprocess.aligned_fully": sum(made.value["converged"] for made in aligned)
        / sum(len(shard.runs) for shard in shards),
        "preprocess.constant_layers": statistics.value["constant"],
    }


def align_shard(shard: Shard, folder: Path) -> dict[str, float]:
    """Match some runs to the reference at their last epoch, and measure the train split's.

    Writes `alignment.parquet`, `distances.parquet` and, for train runs, `moments.npz`.

    Returns:
        `change`: the largest change of a logit, relative to its network's largest; `converged`:
        number of runs that no further step would bring closer.

    Raises:
        ValueError: If a permutation changed a network's function.
    """
    whole = shard.whole
    config, groups = whole.config, whole.trained_groups
    last = whole.read(shard.runs, shard.epochs[-1:], buffers=True)
    reference = whole.read_reference()
    found, converged = unaligned(groups, shard.runs), np.ones(len(shard.runs), bool)
    if config.align:
        matching = match(
            reference, last, groups, whole.seed, config.max_sweeps, config.signs, whole.device
        )
        found = Alignment(shard.runs, matching.permutations, matching.signs)
        converged = matching.converged
    runs = np.array(shard.runs)
    moved = found.apply(last, runs, whole.groups)
    write_alignment(folder / "alignment.parquet", found)
    trained = {name: reference[name] for name in whole.network.shapes()}
    distances = [pa.array(squared_distance(trained, weights)) for weights in (last, moved)]
    columns = [pa.array(runs, pa.int32()), pa.array([shard.split] * len(runs)), *distances]
    pq.write_table(pa.table(columns, schema=DISTANCES), folder / "distances.parquet")
    if shard.split == "train":
        _measure(shard, found, folder / "moments.npz")
    return {
        "change": largest_change(shard, last, moved),
        "converged": int(converged.sum()),
    }


@dataclass(frozen=True)
class _Measured:
    """The measured train shards of a zoo.

    Attributes:
        whole: The zoo.
        folders: Folders with `moments.npz`.
        layers: Layers of the architecture.
        d_t: Token size.
    """

    whole: Whole
    folders: tuple[str, ...]
    layers: tuple[Layer, ...]
    d_t: int


def merge_moments(measured: _Measured, folder: Path) -> dict[str, float]:
    """Put together what was measured of all train shards, into `layers.parquet`."""
    parts = []
    for name in measured.folders:
        with np.load(Path(name) / "moments.npz", allow_pickle=False) as arrays:
            parts.append(Moments(**arrays))
    whole, layers = measured.whole, measured.layers
    statistics = statistics_of(parts, layers, whole.config.standardize)
    write_layers(folder / "layers.parquet", whole.network.name, layers, measured.d_t, statistics)
    return {"constant": float(len(statistics.constant))}


@dataclass(frozen=True)
class TokenShard:
    """One part of a split's tokens.

    Attributes:
        shard: Its runs and epochs.
        alignment: Folder with their `alignment.parquet`.
        statistics: Folder with `layers.parquet`.
        layers: Layers of the architecture.
        d_t: Token size.
    """

    shard: Shard
    alignment: str
    statistics: str
    layers: tuple[Layer, ...]
    d_t: int


def tokenize_shard(part: TokenShard, folder: Path) -> None:
    """Align, standardize and tokenize some checkpoints into `part.parquet`."""
    shard = part.shard
    found = read_alignment(Path(part.alignment) / "alignment.parquet")
    write_weights(
        folder / "part.parquet",
        _aligned(shard, found),
        part.layers,
        part.d_t,
        read_statistics(Path(part.statistics) / "layers.parquet"),
        np.repeat(shard.runs, len(shard.epochs)),
        np.tile(shard.epochs, len(shard.runs)),
        shard.whole.config.dtype,
    )


def _aligned(shard: Shard, found: Alignment) -> dict[str, np.ndarray]:
    """Read and align checkpoints: entry -> float32 [runs · epochs, ...], run by run."""
    whole = shard.whole
    weights = whole.read(shard.runs, shard.epochs)
    groups = within(whole.groups, weights)
    return found.apply(weights, np.repeat(shard.runs, len(shard.epochs)), groups)


def _measure(shard: Shard, found: Alignment, path: Path) -> None:
    """Measure every checkpoint of a shard, a piece in memory at a time."""
    whole = shard.whole
    layers = layers_of_architecture(whole.network, whole.config.batch_norm)
    parts = [
        moments_of(
            _aligned(piece, found),
            layers,
            np.repeat(piece.runs, len(piece.epochs)),
            np.tile(piece.epochs, len(piece.runs)),
        )
        for piece in shard.in_pieces(checkpoints_in_memory(whole.network))
    ]
    names = [field.name for field in fields(Moments)]
    joined: Any = {n: np.concatenate([getattr(part, n) for part in parts]) for n in names}
    np.savez(path, **joined)


def _write_joined(path: Path, made: Sequence[Made], schema: pa.Schema) -> None:
    """Join the shards' tables of this name, by run."""
    tables = [pq.read_table(each.folder / path.name, schema=schema) for each in made]
    joined = pa.concat_tables(tables).combine_chunks()
    order = np.argsort(joined["run"].to_numpy(), kind="stable")
    pq.write_table(joined.take(pa.array(order)), path, compression="zstd")


def _keep_tokens(work: Work, parts: Sequence[TokenShard], written: Sequence[Made]) -> None:
    counts = dict.fromkeys(SPLITS, 0)
    for part, made in zip(parts, written, strict=True):
        split = part.shard.split
        name = f"tokens/split={split}/part-{counts[split]:05d}.parquet"
        work.keep(made.folder / "part.parquet", name)
        counts[split] += 1


def _write_checkpoints(
    folder: Path, table: pa.Table, parts: Sequence[TokenShard], tokens: int
) -> None:
    """Add each checkpoint's first and last row among its split's tokens, part by part."""
    rows: dict[tuple[int, int], int] = {}
    filled = dict.fromkeys(SPLITS, 0)
    for part in parts:
        shard = part.shard
        for epoch in shard.epochs:
            for run in shard.runs:
                rows[run, epoch] = filled[shard.split]
                filled[shard.split] += tokens
    pairs = zip(table["run"].to_pylist(), table["epoch"].to_pylist(), strict=True)
    first = np.array([rows[pair] for pair in pairs], np.int64)
    for name, values in (("first_token", first), ("last_token", first + tokens - 1)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, folder / "checkpoints.parquet", compression="zstd")


def _metrics(folder: Path, whole: Whole, layers: tuple[Layer, ...], d_t: int) -> dict[str, float]:
    distances = pq.read_table(folder / "distances.parquet")
    return {
        "preprocess.squared_distance.before": float(np.mean(distances["before"].to_numpy())),
        "preprocess.squared_distance.after": float(np.mean(distances["after"].to_numpy())),
        "preprocess.fill_rate": float(lengths_of(layers, d_t).mean() / d_t),
        "preprocess.reference_run": float(whole.reference[0]),
        "preprocess.groups": float(len(whole.groups)),
        "preprocess.units": float(sum(group.size for group in whole.groups)),
    }
