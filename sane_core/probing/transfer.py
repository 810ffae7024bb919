"""Probes across zoos: SANE and probe fitted on one zoo, tested on another.

Everything - λ, the pooling, the scaling of columns - comes from the first zoo's train and
validation runs; of the second only test runs are seen, by the probe at least (`visitors.py` says in
which frame).
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from sane_core.embedding.device import on_gpu
from sane_core.embedding.files import Embeddings
from sane_core.embedding.frames import frames_of
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.files import load
from sane_core.probing.checkpoints import Checkpoints, read_checkpoints
from sane_core.probing.compare import Compared, compare, fit_all
from sane_core.probing.features import embedded, flat_weights, statistics
from sane_core.probing.folds import Sides
from sane_core.probing.selections import STATISTICS
from sane_core.probing.targets import Target, read_targets, reason_against
from sane_core.probing.transfer_tables import (
    TransferDifference,
    TransferResult,
    differences_of,
    results_of,
    transfer_metrics,
    write_transfer,
)
from sane_core.probing.visitors import Visitors, Zoo, visitors
from sane_core.weights.frame import read_frame
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig


def transfer_zoos(
    source: Zoo,
    model: Path,
    embeddings: Embeddings,
    others: Sequence[Zoo],
    config: ProbeConfig,
    embed: EmbedConfig,
    seed: int,
    folder: Path,
    own_frame: bool,
    preprocess: PreprocessConfig = PreprocessConfig(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """Test the probes of one zoo on others; write `transfer`, its comparisons and `unavailable`.

    Args:
        source: The zoo that is fitted on.
        model: Folder of the pretrain stage.
        embeddings: SANE's, of the source.
        others: Zoos to test on.
        config: Targets and λ candidates.
        embed: Chunk sizes and views.
        seed: The run's seed.
        folder: Gets the tables.
        own_frame: Whether the SANE was trained on all of them, each in its own frame.
        preprocess: As the source was made into tokens.

    Returns:
        Metrics: `probe.transfer.r2.<target>.<features>.<source>.to.<zoo>` with `.low` and `.high`,
        `probe.transfer.kendall.…` and `probe.transfer.difference.<target>.<a>.<b>.…`.
    """
    encoder = on_gpu(load(model))
    home = read_checkpoints(source.tokens, embeddings, source.zoo)
    frame = None if own_frame else read_frame(source.tokens, source.zoo, preprocess, seed)
    results: list[TransferResult] = []
    differences: list[TransferDifference] = []
    missing: list[dict[str, str]] = []
    for zoo in others:
        way = f"{source.name} → {zoo.name}"
        try:
            away = visitors(home, zoo, frame)
            found, reasons = _transfer(home, embeddings, away, encoder, config, embed, seed)
        except ValueError as error:
            missing.append({"kind": "transfer", "name": way, "reason": str(error)})
            continue
        for each in found:
            results += results_of(
                each, source.name, zoo.name, len(np.unique(away.checkpoints.runs))
            )
            differences += differences_of(each, source.name, zoo.name)
        missing += [
            {"kind": "transfer", "name": f"{way}, {name}", "reason": reason}
            for name, reason in reasons.items()
        ]
    write_transfer(folder, results, differences, missing)
    return transfer_metrics(results, differences)


def _transfer(
    home: Checkpoints,
    embeddings: Embeddings,
    away: Visitors,
    encoder: Autoencoder,
    config: ProbeConfig,
    embed: EmbedConfig,
    seed: int,
) -> tuple[list[Compared], dict[str, str]]:
    guests = away.checkpoints
    encoder.check_positions(guests.positions)
    frames = frames_of(guests.folder / "tokens", guests.layers, embed.views, seed)
    features = _stacked(embeddings.vectors, embedded(encoder, guests, frames, embed))
    features |= _stacked(
        _of_the_weights(home, statistics(home)), _of_the_weights(guests, away.statistics)
    )
    if not features:
        raise ValueError(
            "zoos must share features of one length for probes to carry over, got none: their "
            "layers differ in number; embed with a pooling that has one length for all networks "
            "(embed.poolings: mean, mean_std or quantiles)"
        )
    own = len(embeddings.runs)
    train, validation = (
        np.flatnonzero(embeddings.split == name) for name in ("train", "validation")
    )
    sides = [Sides(train, validation, np.arange(own, own + len(guests)))]
    at_home = (home.folder, embeddings.runs, embeddings.epochs)
    targets, reasons = _shared_targets(
        at_home, (guests.folder, guests.runs, guests.epochs), config, sides
    )
    runs = np.concatenate([embeddings.runs, guests.runs])
    found = []
    for target in targets:
        known = np.flatnonzero(np.isfinite(target.values))
        among = [side.among(known) for side in sides]
        of_rows = {name: values[known] for name, values in features.items()}
        fits = fit_all(of_rows, [target.take(known)], among, config.lambdas)
        found.append(compare(fits, target.take(known), runs[known], among, config, seed))
    return found, reasons


def _of_the_weights(checkpoints: Checkpoints, beside: np.ndarray) -> dict[str, np.ndarray]:
    """Return s(W), which is given, and W unless networks are too large for it."""
    found = {STATISTICS: beside}
    with suppress(ValueError):
        found["weights"] = flat_weights(checkpoints)
    return found


def _stacked(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put rows of both zoos under each other, where they have as many columns."""
    return {
        name: np.concatenate([rows, second[name]])
        for name, rows in first.items()
        if name in second and rows.shape[1] == second[name].shape[1]
    }


def _shared_targets(
    home: tuple[Path, np.ndarray, np.ndarray],
    away: tuple[Path, np.ndarray, np.ndarray],
    config: ProbeConfig,
    sides: Sequence[Sides],
) -> tuple[list[Target], dict[str, str]]:
    """Return the numbers that both zoos know; a class of one may be none of the other."""
    (first, reasons), (second, others) = (
        read_targets(folder / "checkpoints.parquet", runs, epochs, config.targets)
        for folder, runs, epochs in (home, away)
    )
    reasons = reasons | others
    there = {target.name: target for target in second}
    targets = []
    for target in first:
        if target.classes or (target.name in there and there[target.name].classes):
            reasons[target.name] = "it is a word, and words are not carried over"
        elif target.name in there:
            values = np.concatenate([target.values, there[target.name].values])
            both = Target(target.name, values)
            reason = reason_against(both, sides)
            if reason:
                reasons[target.name] = reason
            else:
                targets.append(both)
    return targets, reasons
