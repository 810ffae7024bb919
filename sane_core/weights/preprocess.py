"""Align, standardize and tokenize a zoo (Algorithm 1, steps i to iii).

Alignment runs on raw weights: one reference for all splits, the permutation of a run found at its
last epoch and applied to all of them. Statistics come from the train split.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from sane_core.architectures.registry import architecture_named
from sane_core.seeding import rng_for
from sane_core.weights.align import align, match, squared_distance
from sane_core.weights.files import TokenSet, write_layers, write_tokens
from sane_core.weights.layers import largest_row, layers_of
from sane_core.weights.standardize import identity, measure, standardize
from sane_core.weights.symmetry.derive import groups_of
from sane_core.weights.symmetry.permute import Permutations, permute
from sane_core.weights.tokens import lengths_of, positions_of, tokenize
from sane_core.zoo.files import read_weights
from sane_core.zoo.population.score import logits, stack
from schemas.config.preprocess import PreprocessConfig
from schemas.tables import ALIGNMENT

SPLITS = ("train", "validation", "test")


def preprocess_zoo(
    zoo: Path,
    config: PreprocessConfig,
    seed: int,
    folder: Path,
    on_split: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Turn a zoo into tokens.

    Args:
        zoo: Folder of the zoo stage.
        config: How to align, standardize, tokenize.
        seed: The run's seed.
        folder: Gets `tokens/split=…/` and `layers`, `alignment` and `checkpoints.parquet`.
        on_split: Called after each split is written.

    Returns:
        Metrics: mean squared distance to the reference before and after alignment, and the largest
        change of any logit by the permutations found.

    Raises:
        ValueError: If a permutation changed a network's function.
    """
    table = pq.read_table(zoo / "checkpoints.parquet").sort_by(
        [("run", "ascending"), ("epoch", "ascending")]
    )
    architecture = architecture_named(table["architecture"][0].as_py())
    runs, epochs = (np.unique(table[name].to_numpy()).tolist() for name in ("run", "epoch"))
    weights = read_weights(zoo / "weights", architecture.shapes(), runs, epochs)
    groups, layers = groups_of(architecture), layers_of(architecture.shapes())
    d_t = config.d_t or largest_row(layers)

    last = {name: values[:, -1] for name, values in weights.items()}
    reference_run = reference_of(table)
    reference = {name: values[runs.index(reference_run)] for name, values in last.items()}
    permutations: Permutations = {
        g.name: np.tile(np.arange(g.size), (len(runs), 1)) for g in groups
    }
    if config.align:
        permutations = match(reference, last, groups, rng_for(seed, "align"), config.max_sweeps)
    aligned = align(weights, groups, permutations)
    change = _largest_change(architecture.name, seed, last, permute(last, groups, permutations))

    split_of = dict(zip(table["run"].to_pylist(), table["split"].to_pylist(), strict=True))
    train = [i for i, run in enumerate(runs) if split_of[run] == "train"]
    measured = {
        name: values[train].reshape(-1, *values.shape[2:]) for name, values in aligned.items()
    }
    statistics = (
        measure(measured, layers) if config.standardize == "per_layer" else identity(layers)
    )
    for split in SPLITS:
        chosen = [i for i, run in enumerate(runs) if split_of[run] == split]
        part = {
            name: values[chosen].reshape(-1, *values.shape[2:]) for name, values in aligned.items()
        }
        tokens = TokenSet(
            values=tokenize(standardize(part, layers, statistics), layers, d_t),
            positions=positions_of(layers, d_t),
            lengths=lengths_of(layers, d_t),
            runs=np.repeat([runs[i] for i in chosen], len(epochs)),
            epochs=np.tile(epochs, len(chosen)),
        )
        path = folder / "tokens" / f"split={split}"
        path.mkdir(parents=True)
        write_tokens(path / "part-00000.parquet", tokens)
        if on_split:
            on_split()
    write_layers(folder / "layers.parquet", architecture.name, layers, d_t, statistics)
    _write_alignment(folder / "alignment.parquet", runs, permutations)
    _write_checkpoints(
        folder / "checkpoints.parquet", table, sum(layer.tokens(d_t) for layer in layers)
    )
    before = squared_distance(reference, last).mean()
    after = squared_distance(
        reference, {name: values[:, -1] for name, values in aligned.items()}
    ).mean()
    fill = float(lengths_of(layers, d_t).mean() / d_t)
    return {
        "preprocess.squared_distance.before": float(before),
        "preprocess.squared_distance.after": float(after),
        "preprocess.largest_logit_change": change,
        "preprocess.fill_rate": fill,
        "preprocess.reference_run": float(reference_run),
    }


def reference_of(checkpoints: pa.Table) -> int:
    """Return the train run with the median final test accuracy: the reference of the zoo.

    Test accuracy is a property of the checkpoint here, not a quantity selected on; the median only
    names a typical run.
    """
    last = pa.compute.equal(checkpoints["epoch"], pa.compute.max(checkpoints["epoch"]))
    train = pa.compute.equal(checkpoints["split"], "train")
    final = checkpoints.filter(pa.compute.and_(last, train))
    ranked = final.sort_by([("test_accuracy", "ascending"), ("run", "ascending")])
    return int(ranked["run"][len(ranked) // 2].as_py())


def _largest_change(
    name: str,
    seed: int,
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    tolerance: float = 1e-4,
) -> float:
    """Return the largest |Δ logit| on random images: aligned, it is the same function."""
    import torch

    architecture = architecture_named(name)
    rng = rng_for(seed, "verify")
    pixels = torch.from_numpy(rng.random((64, *architecture.input_shape), np.float32))
    with torch.no_grad():
        outputs = [
            logits(architecture, stack(architecture, weights), pixels)
            for weights in (before, after)
        ]
    change = float((outputs[0] - outputs[1]).abs().max())
    if change > tolerance * max(1.0, float(outputs[0].abs().max())):
        raise ValueError(
            f"alignment must keep the function, but a logit of {name} changed by {change}"
        )
    return change


def _write_alignment(path: Path, runs: list[int], permutations: Permutations) -> None:
    rows = [
        {"run": run, "group": name, "permutation": values[i].tolist()}
        for name, values in permutations.items()
        for i, run in enumerate(runs)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=ALIGNMENT), path, compression="zstd")


def _write_checkpoints(path: Path, table: pa.Table, tokens: int) -> None:
    """Add each checkpoint's first and last row in its split's tokens, sorted by (epoch, run)."""
    first = np.empty(len(table), np.int64)
    split = np.asarray(table["split"].to_pylist())
    order = np.lexsort((table["run"].to_numpy(), table["epoch"].to_numpy()))
    for name in SPLITS:
        rows = order[split[order] == name]
        first[rows] = np.arange(len(rows)) * tokens
    for name, values in (("first_token", first), ("last_token", first + tokens - 1)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, path, compression="zstd")
