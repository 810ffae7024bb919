"""Probes across zoos: SANE and probe fitted on one zoo, tested on another.

Everything - λ, the pooling, the scaling of columns - comes from the first zoo's train and
validation runs; of the second only test runs are seen, by the probe at least.

One SANE trained on both zoos together embeds each in its own frame: aligned to its own reference,
standardized by its own statistics. The SANE of the first zoo alone takes the second's networks as
it takes any new network: aligned to the first zoo's reference, standardized by its statistics. That
takes one architecture.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import encode
from sane_core.embedding.files import Embeddings
from sane_core.embedding.pooling import pool
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.files import load
from sane_core.probing.compare import (
    COMBINED,
    SELECTED,
    STATISTICS,
    Compared,
    ProbeResult,
    compare,
    fit_all,
)
from sane_core.probing.features import Checkpoints, flat_weights, read_checkpoints, statistics
from sane_core.probing.folds import Sides
from sane_core.probing.tables import unavailable_records, write_records
from sane_core.probing.targets import Target, read_targets, reason_against
from sane_core.weights.files import TokenSet, read_tokens
from sane_core.weights.frame import Frame, read_frame
from sane_core.weights.tokens import tokenize
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig

REPORTED = (SELECTED, COMBINED, STATISTICS, "weights")
"""Features of which a transfer is reported, beside SANE's poolings."""


@dataclass(frozen=True)
class Zoo:
    """A zoo that probes go from or to.

    Attributes:
        name: What it is called.
        tokens: Folder of the preprocess stage.
        epochs: Epochs to test on.
        zoo: Folder of the zoo stage; without it, networks are brought into another zoo's frame by
            the entries that are cut into tokens alone.
    """

    name: str
    tokens: Path
    epochs: tuple[int, ...]
    zoo: Path | None = None


@dataclass(frozen=True)
class TransferResult:
    """How well features tell a number of another zoo's test runs, with the 95 % interval.

    `chosen`: the features that a selection chose, on the source's validation runs.
    """

    source: str
    zoo: str
    features: str
    target: str
    test_r2: float
    low: float
    high: float
    kendall: float
    chosen: str
    runs: int


@dataclass(frozen=True)
class TransferDifference:
    """What features `a` score above `b` there, with the 95 % interval of the paired bootstrap."""

    source: str
    zoo: str
    target: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    share_above: float
    runs: int


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
        embed: Chunk sizes.
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
            away = _visitors(home, zoo, frame)
            found, reasons = _transfer(
                home, embeddings, away, zoo.tokens, encoder, config, embed, seed
            )
        except ValueError as error:
            missing.append({"kind": "transfer", "name": way, "reason": str(error)})
            continue
        for each in found:
            results += _results(each, source.name, zoo.name, len(np.unique(away.part.runs)))
            differences += _differences(each, source.name, zoo.name)
        missing += [
            {"kind": "transfer", "name": f"{way}, {name}", "reason": reason}
            for name, reason in reasons.items()
        ]
    _write(folder, results, differences, missing)
    return _metrics(results, differences)


@dataclass(frozen=True)
class _Visitors:
    """Test runs of another zoo.

    Attributes:
        checkpoints: Their tokens, in the frame that the SANE takes them in.
        statistics: Their s(W), float64 [checkpoints, 7 * L].
    """

    checkpoints: Checkpoints
    statistics: np.ndarray

    @property
    def part(self) -> TokenSet:
        return self.checkpoints.parts[0]


def _visitors(home: Checkpoints, zoo: Zoo, frame: Frame | None) -> _Visitors:
    """Return the test runs of another zoo, in their own frame or the one that is given.

    Raises:
        ValueError: If token sizes differ, or, for a frame that is not their own, architectures.
    """
    part = read_tokens(zoo.tokens / "tokens", "test", zoo.epochs)
    away = Checkpoints(zoo.tokens, (part,), zoo.zoo)
    here, there = (each.parts[0].values.shape[2] for each in (home, away))
    if here != there:
        raise ValueError(
            f"zoos must have one token size to share a SANE, got {here} and {there}; set "
            "preprocess.d_t"
        )
    if frame is None:
        return _Visitors(away, statistics(away))
    if home.layers != away.layers:
        raise ValueError(
            "zoos must be of one architecture for the SANE of one to embed the other; train one "
            "on both (together: true)"
        )
    weights = _aligned(away.as_trained(away.entries(part), part), part, frame)
    values = tokenize(weights, home.layers, here, home.statistics)
    brought = Checkpoints(home.folder, (replace(part, values=values),))
    return _Visitors(brought, statistics(away))


def _aligned(weights: dict[str, np.ndarray], part: TokenSet, frame: Frame) -> dict[str, np.ndarray]:
    """Align runs at their last epoch here to the reference, all their epochs alike."""
    runs = np.unique(part.runs)
    last = np.array(
        [max(np.flatnonzero(part.runs == run), key=lambda i: part.epochs[i]) for run in runs]
    )
    ends = {name: values[last] for name, values in weights.items()}
    return frame.apply(frame.find(ends, runs.tolist()), weights, part.runs)


def _transfer(
    home: Checkpoints,
    embeddings: Embeddings,
    away: _Visitors,
    tokens: Path,
    encoder: Autoencoder,
    config: ProbeConfig,
    embed: EmbedConfig,
    seed: int,
) -> tuple[list[Compared], dict[str, str]]:
    part = away.part
    encoder.check_positions(part.positions)
    latents = encode(encoder, part.values, part.positions, part.lengths, embed)
    visiting = pool("sane", latents, part.positions[:, 1])
    features = _stacked(embeddings.vectors, visiting)
    features |= _stacked(
        _of_the_weights(home, statistics(home)), _of_the_weights(away.checkpoints, away.statistics)
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
    sides = [Sides(train, validation, np.arange(own, own + len(part)))]
    at_home = (home.folder, embeddings.runs, embeddings.epochs)
    targets, reasons = _shared_targets(at_home, (tokens, part.runs, part.epochs), config, sides)
    runs = np.concatenate([embeddings.runs, part.runs])
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


def _results(compared: Compared, source: str, zoo: str, runs: int) -> list[TransferResult]:
    return [
        TransferResult(
            source=source,
            zoo=zoo,
            features=row.features,
            target=row.target,
            test_r2=row.test_r2,
            low=row.low,
            high=row.high,
            kendall=row.kendall,
            chosen=row.chosen,
            runs=runs,
        )
        for row in compared.results
        if isinstance(row, ProbeResult)
        and (row.features in REPORTED or row.features.startswith("sane_"))
    ]


def _differences(compared: Compared, source: str, zoo: str) -> list[TransferDifference]:
    rows = [asdict(row) for row in compared.differences]
    for row in rows:
        row.pop("measure")
    return [TransferDifference(source=source, zoo=zoo, **row) for row in rows]


def _write(
    folder: Path,
    results: Sequence[TransferResult],
    differences: Sequence[TransferDifference],
    missing: list[dict[str, str]],
) -> None:
    write_records(folder / "transfer.parquet", TransferResult, results)
    write_records(folder / "transfer_comparisons.parquet", TransferDifference, differences)
    pq.write_table(
        pa.Table.from_pylist(missing, schema=unavailable_records()), folder / "unavailable.parquet"
    )


def _metrics(
    results: Sequence[TransferResult], differences: Sequence[TransferDifference]
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for row in results:
        of = f"{row.target}.{row.features}.{row.source}.to.{row.zoo}"
        metrics |= {
            f"probe.transfer.r2.{of}": row.test_r2,
            f"probe.transfer.r2.{of}.low": row.low,
            f"probe.transfer.r2.{of}.high": row.high,
            f"probe.transfer.kendall.{of}": row.kendall,
        }
    for claim in differences:
        of = f"{claim.target}.{claim.a}.{claim.b}.{claim.source}.to.{claim.zoo}"
        metrics |= {
            f"probe.transfer.difference.{of}": claim.difference,
            f"probe.transfer.difference.{of}.low": claim.low,
            f"probe.transfer.difference.{of}.high": claim.high,
        }
    return metrics
