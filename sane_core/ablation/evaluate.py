"""Evaluate a trained SANE on networks: what masked reconstruction loses, per window and layer.

A row of `evaluation.parquet` is a mean over checkpoints with its 95 % interval over resampled runs:
the checkpoints of one run are not independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.ablation.reconstruct import Errors, kept_window, reconstruction_errors
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import has_one_latent
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.files import load
from sane_core.seeding import rng_for
from sane_core.weights.files import read_layers
from sane_core.weights.layers import Layer, token_count
from sane_core.weights.streaming import places_of, token_size

ALL = "all"
"""Stands where a layer's name does, for all weights of a network."""
RESAMPLES = 1000


@dataclass(frozen=True, order=True)
class Pass:
    """How whole models are run.

    Attributes:
        window: Tokens kept per pass; 0 for all.
        halo: Context tokens on either side of them.
    """

    window: int
    halo: int = 0


@dataclass(frozen=True)
class Evaluation:
    """The loss on one split of the runs.

    Attributes:
        split: Of the runs.
        window: Tokens kept per pass.
        halo: Context tokens on either side of them; 0 where the window holds the whole model.
        trained: Whether this is how windows were in training: their length, without halo.
        whole: Whether the window holds the whole model.
        layer: Name of the layer, or "all".
        l: Its counter; -1 for all.
        reconstruction: Mean squared error of real weights, in units of the tokens.
        low: Lower end of its 95 % interval over runs.
        high: Upper end.
        checkpoints: Checkpoints it is the mean of.
        runs: Runs these are of.
    """

    split: str
    window: int
    halo: int
    trained: bool
    whole: bool
    layer: str
    l: int
    reconstruction: float
    low: float
    high: float
    checkpoints: int
    runs: int


def evaluate_zoo(
    tokens: Path,
    model: Path,
    epochs: Sequence[int],
    splits: Sequence[str],
    passes: Sequence[Pass],
    limit: int,
    seed: int,
    folder: Path,
    on_pass: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Reconstruct networks in the windows of training and in others; write `evaluation.parquet`.

    Args:
        tokens: Folder of the preprocess stage.
        model: Folder of the pretrain stage.
        epochs: Epochs whose checkpoints are evaluated.
        splits: Splits of the runs.
        passes: Beside that of training; equal ones are run once.
        limit: Checkpoints per split at most, drawn from all of them.
        seed: The run's seed.
        folder: Gets the table.
        on_pass: Called with (passes done, passes) after every pass over a split.

    Returns:
        Metrics `evaluation.<split>.reconstruction`, in the windows of training, with `.low` and
        `.high`; the same with `.w<window>` and `.w<window>.halo<halo>` for the other passes; and
        `evaluation.latents_per_weight`.

    Raises:
        ValueError: If the token sizes differ, or a split has no such checkpoints.
    """
    autoencoder, layers = on_gpu(load(model)), read_layers(tokens / "layers.parquet")
    _check_token_size(tokens / "tokens", autoencoder)
    runs = distinct_passes(autoencoder, layers, passes)
    length = token_count(layers, autoencoder.shape.d_t)
    rows: list[Evaluation] = []
    done = count(1)
    for split in splits:
        chosen = _choose(tokens / "checkpoints.parquet", split, epochs, limit, seed)
        for each in runs:
            errors = reconstruction_errors(
                autoencoder, tokens / "tokens", layers, split, chosen, each.window, each.halo
            )
            rows += _summarize(errors, split, each, runs[0], length, layers, chosen, seed)
            if on_pass:
                on_pass(next(done), len(splits) * len(runs))
    pq.write_table(pa.Table.from_pylist(list(map(asdict, rows))), folder / "evaluation.parquet")
    return _metrics(rows) | {
        "evaluation.latents_per_weight": latents_per_weight(autoencoder, layers)
    }


def distinct_passes(
    model: Autoencoder, layers: tuple[Layer, ...], passes: Sequence[Pass]
) -> list[Pass]:
    """Return that of training first, then the others as they run on models of these layers."""
    length = token_count(layers, model.shape.d_t)
    asked = [Pass(model.shape.window), *passes]
    kept = [(kept_window(each.window, length), each.halo) for each in asked]
    return list(dict.fromkeys(Pass(w, halo if w < length else 0) for w, halo in kept))


def latents_per_weight(model: Autoencoder, layers: tuple[Layer, ...]) -> float:
    """Return how many numbers a network's latents are, for each of its weights."""
    vectors = 1 if has_one_latent(model) else token_count(layers, model.shape.d_t)
    return vectors * model.config.d_z / sum(layer.size for layer in layers)


def interval(
    values: np.ndarray, runs: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of values [checkpoints] over resampled runs."""
    names, group = np.unique(runs, return_inverse=True)
    total, count = np.bincount(group, values), np.bincount(group)
    weight = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    low, high = np.quantile(weight @ total / (weight @ count), [0.025, 0.975])
    return float(low), float(high)


def _choose(
    table: Path, split: str, epochs: Sequence[int], limit: int, seed: int
) -> list[tuple[int, int]]:
    """Return (run, epoch) of a split's checkpoints, drawn from all if there are too many."""
    found = sorted((place.run, place.epoch) for place in places_of(table, split, epochs))
    if not found:
        raise ValueError(f"split {split} must have checkpoints of epochs {sorted(epochs)}")
    if len(found) <= limit:
        return found
    chosen = rng_for(seed, "evaluation", split).choice(len(found), limit, replace=False)
    return [found[i] for i in sorted(chosen.tolist())]


def _summarize(
    errors: Errors,
    split: str,
    run: Pass,
    training: Pass,
    length: int,
    layers: tuple[Layer, ...],
    checkpoints: list[tuple[int, int]],
    seed: int,
) -> list[Evaluation]:
    names = np.array([checkpoint[0] for checkpoint in checkpoints])
    squared = np.column_stack([errors.squared.sum(1), errors.squared])
    weights = np.column_stack([errors.weights.sum(1), errors.weights])
    rows = []
    for column, name in enumerate([ALL, *(layer.name for layer in layers)]):
        if not weights[:, column].all():
            continue  # a layer without weights loses none
        values = squared[:, column] / weights[:, column]
        low, high = interval(values, names, rng_for(seed, "evaluation interval", split))
        rows.append(
            Evaluation(
                split=split,
                window=run.window,
                halo=run.halo,
                trained=run == training,
                whole=run.window == length,
                layer=name,
                l=column - 1,
                reconstruction=float(values.mean()),
                low=low,
                high=high,
                checkpoints=len(values),
                runs=len(np.unique(names)),
            )
        )
    return rows


def _check_token_size(tokens: Path, model: Autoencoder) -> None:
    d_t = token_size(tokens)
    if d_t != model.shape.d_t:
        raise ValueError(
            f"tokens must have {model.shape.d_t} values, as in pretraining, got {d_t}; "
            "set preprocess.d_t"
        )


def _metrics(rows: list[Evaluation]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for row in rows:
        if row.layer != ALL:
            continue
        name = f"evaluation.{row.split}.reconstruction"
        if not row.trained:
            name += f".w{row.window}" + (f".halo{row.halo}" if row.halo else "")
        metrics |= {name: row.reconstruction, f"{name}.low": row.low, f"{name}.high": row.high}
    return metrics
