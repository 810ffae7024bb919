"""Probe a whole zoo: SANE's embeddings beside W, s(W) and the controls, on the same checkpoints."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode
from sane_core.embedding.files import Embeddings
from sane_core.embedding.pooling import GLOBAL, pool
from sane_core.pretraining.autoencoder import build
from sane_core.pretraining.files import read_config
from sane_core.probing.compare import SELECTED, ProbeResult, compare
from sane_core.probing.controls import fit_token_pca, project_tokens
from sane_core.probing.statistics import weight_statistics
from sane_core.seeding import seed_for
from sane_core.weights.files import TokenSet, read_layers, read_statistics, read_tokens
from sane_core.weights.standardize import unstandardize
from sane_core.weights.tokens import detokenize
from schemas.config.embed import EmbedConfig
from schemas.config.probe import ProbeConfig

SPLITS = ("train", "validation", "test")
SHOWN = (SELECTED, "statistics")


def probe_zoo(
    tokens: Path,
    model: Path,
    embeddings: Embeddings,
    config: ProbeConfig,
    embed: EmbedConfig,
    seed: int,
    folder: Path,
    on_features: Callable[[], None] | None = None,
    baseline: Embeddings | None = None,
) -> dict[str, float]:
    """Fit every probe and write `probes.parquet` and `predictions.parquet`.

    Args:
        tokens: Folder of the preprocess stage.
        model: Folder of the pretrain stage; only its shape is used, for the untrained control.
        embeddings: SANE's embeddings.
        config: Targets, λ candidates.
        embed: Chunk sizes of the untrained control.
        seed: The run's seed.
        folder: Gets the tables.
        on_features: Called as each of the five kinds of features is ready.
        baseline: Embeddings of the same checkpoints by an autoencoder with one latent per model;
            they are the features `global`.

    Returns:
        Metrics: `probe.r2.<target>.<features>` with `.low` and `.high`.

    Raises:
        ValueError: If the baseline's embeddings are of other checkpoints, or several per model.
    """
    epochs = np.unique(embeddings.epochs).tolist()
    parts = [read_tokens(tokens / "tokens", split, epochs) for split in SPLITS]
    features = dict(embeddings.vectors)
    if baseline:
        features[GLOBAL] = one_vector(baseline, embeddings)
    for make in (_weights, _statistics, _token_pca, _untrained):
        features |= make(parts, tokens, model, embed, seed)
        if on_features:
            on_features()
    targets = _targets(tokens / "checkpoints.parquet", embeddings, config.targets)
    results, predictions = compare(
        features, targets, embeddings.runs, embeddings.split, config, seed
    )
    if on_features:
        on_features()
    pq.write_table(
        pa.Table.from_pylist([asdict(result) for result in results]), folder / "probes.parquet"
    )
    _write_predictions(folder / "predictions.parquet", embeddings, targets, predictions)
    return _metrics(results)


def one_vector(baseline: Embeddings, embeddings: Embeddings) -> np.ndarray:
    """Return the one vector per model of a baseline, float32 [checkpoints, d].

    Args:
        baseline: Embeddings by an autoencoder with one latent per model.
        embeddings: What they stand beside.

    Raises:
        ValueError: If they are of other checkpoints, or several per model.
    """
    for name in ("runs", "epochs", "split"):
        if not np.array_equal(getattr(baseline, name), getattr(embeddings, name)):
            raise ValueError(
                f"a baseline's embeddings must be of the same checkpoints, but {name} differ"
            )
    if len(baseline.vectors) != 1:
        raise ValueError(
            f"a baseline must have one embedding per model, got {sorted(baseline.vectors)}"
        )
    return next(iter(baseline.vectors.values()))


def _weights(
    parts: list[TokenSet], tokens: Path, model: Path, embed: EmbedConfig, seed: int
) -> dict[str, np.ndarray]:
    """W: all weights, flattened, in the aligned and standardized frame."""
    del tokens, model, embed, seed
    columns = np.flatnonzero(
        (np.arange(parts[0].values.shape[2]) < parts[0].lengths[:, None]).ravel()
    )
    return {
        "weights": np.concatenate(
            [part.values.reshape(len(part), -1)[:, columns] for part in parts]
        )
    }


def _statistics(
    parts: list[TokenSet], tokens: Path, model: Path, embed: EmbedConfig, seed: int
) -> dict[str, np.ndarray]:
    del model, embed, seed
    layers = read_layers(tokens / "layers.parquet")
    statistics = read_statistics(tokens / "layers.parquet")
    raw = [unstandardize(detokenize(part.values, layers), layers, statistics) for part in parts]
    return {"statistics": np.concatenate([weight_statistics(weights, layers) for weights in raw])}


def _token_pca(
    parts: list[TokenSet], tokens: Path, model: Path, embed: EmbedConfig, seed: int
) -> dict[str, np.ndarray]:
    del tokens, embed, seed
    _, config = read_config(model)
    fitted = fit_token_pca(parts[0].values, config.d_z)
    projected = np.concatenate([project_tokens(part.values, *fitted) for part in parts])
    return pool("pca", projected, parts[0].positions[:, 1])


def _untrained(
    parts: list[TokenSet], tokens: Path, model: Path, embed: EmbedConfig, seed: int
) -> dict[str, np.ndarray]:
    del tokens
    untrained = on_gpu(build(*read_config(model), seed_for(seed, "untrained encoder")).eval())
    latents = [
        encode(untrained, part.values, part.positions, part.lengths, embed) for part in parts
    ]
    return pool("untrained", np.concatenate(latents), parts[0].positions[:, 1])


def _targets(
    checkpoints: Path, embeddings: Embeddings, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    table = pq.read_table(checkpoints)
    if missing := sorted(set(names) - set(table.column_names)):
        raise ValueError(f"probe.targets must be columns of the checkpoints table, got {missing}")
    row_of = {
        key: i
        for i, key in enumerate(
            zip(table["run"].to_pylist(), table["epoch"].to_pylist(), strict=True)
        )
    }
    rows = [
        row_of[key]
        for key in zip(embeddings.runs.tolist(), embeddings.epochs.tolist(), strict=True)
    ]
    return {name: table[name].to_numpy().astype(np.float64)[rows] for name in names}


def _write_predictions(
    path: Path,
    embeddings: Embeddings,
    targets: dict[str, np.ndarray],
    predictions: dict[tuple[str, str], np.ndarray],
) -> None:
    test = embeddings.split == "test"
    rows = int(test.sum())
    tables = [
        pa.table(
            {
                "features": [features] * rows,
                "target": [target] * rows,
                "run": embeddings.runs[test],
                "epoch": embeddings.epochs[test],
                "truth": truth[test],
                "prediction": predictions[features, target],
            }
        )
        for target, truth in targets.items()
        for features in SHOWN
    ]
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")


def _metrics(results: list[ProbeResult]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for result in results:
        name = f"probe.r2.{result.target}.{result.features}"
        metrics |= {name: result.test_r2, f"{name}.low": result.low, f"{name}.high": result.high}
    return metrics
