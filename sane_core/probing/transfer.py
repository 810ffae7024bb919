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
from sane_core.probing.foreign import reference_weights
from sane_core.probing.tables import unavailable_records, write_records
from sane_core.probing.targets import Target, read_targets, reason_against
from sane_core.seeding import seed_for
from sane_core.weights.align import match
from sane_core.weights.alignment import Alignment, read_alignment
from sane_core.weights.files import TokenSet, read_tokens
from sane_core.weights.shards import stored_groups, within
from sane_core.weights.symmetry.derive import symmetries_of
from sane_core.weights.tokens import tokenize
from schemas.config.embed import EmbedConfig
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
    """

    name: str
    tokens: Path
    epochs: tuple[int, ...]


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

    Returns:
        Metrics: `probe.transfer.r2.<target>.<features>.<source>.to.<zoo>` with `.low` and `.high`,
        `probe.transfer.kendall.…` and `probe.transfer.difference.<target>.<a>.<b>.…`.
    """
    encoder = on_gpu(load(model))
    home = read_checkpoints(source.tokens, embeddings, None)
    results: list[TransferResult] = []
    differences: list[TransferDifference] = []
    missing: list[dict[str, str]] = []
    for zoo in others:
        way = f"{source.name} → {zoo.name}"
        try:
            away = _visitors(home, zoo, seed, own_frame)
            found, reasons = _transfer(
                home, embeddings, away, zoo.tokens, encoder, config, embed, seed
            )
        except ValueError as error:
            missing.append({"kind": "transfer", "name": way, "reason": str(error)})
            continue
        for each in found:
            results += _results(each, source.name, zoo.name, len(np.unique(away.parts[0].runs)))
            differences += _differences(each, source.name, zoo.name)
        missing += [
            {"kind": "transfer", "name": f"{way}, {name}", "reason": reason}
            for name, reason in reasons.items()
        ]
    _write(folder, results, differences, missing)
    return _metrics(results, differences)


def _visitors(home: Checkpoints, zoo: Zoo, seed: int, own_frame: bool) -> Checkpoints:
    """Return the test runs of another zoo, in the frame that the SANE takes them in.

    Raises:
        ValueError: If token sizes differ, or, for a frame that is not their own, architectures.
    """
    part = read_tokens(zoo.tokens / "tokens", "test", zoo.epochs)
    away = Checkpoints(zoo.tokens, (part,))
    here, there = (each.parts[0].values.shape[2] for each in (home, away))
    if here != there:
        raise ValueError(
            f"zoos must have one token size to share a SANE, got {here} and {there}; set "
            "preprocess.d_t"
        )
    if own_frame:
        return away
    if home.layers != away.layers:
        raise ValueError(
            "zoos must be of one architecture for the SANE of one to embed the other; train one "
            "on both (together: true)"
        )
    weights = away.raw(part)
    if read_alignment(home.folder / "alignment.parquet").permutations:
        weights = _align(weights, part, home, seed)
    values = tokenize(weights, home.layers, here, home.statistics)
    return Checkpoints(home.folder, (replace(part, values=values),))


def _align(
    weights: dict[str, np.ndarray], part: TokenSet, home: Checkpoints, seed: int
) -> dict[str, np.ndarray]:
    """Align runs at their last epoch here to the reference, all their epochs alike."""
    network = home.architecture
    groups = within(stored_groups(symmetries_of(network).groups, network), weights)
    runs = np.unique(part.runs)
    last = np.array(
        [max(np.flatnonzero(part.runs == run), key=lambda i: part.epochs[i]) for run in runs]
    )
    ends = {name: values[last] for name, values in weights.items()}
    signs = bool(read_alignment(home.folder / "alignment.parquet").signs)
    found = match(reference_weights(home), ends, groups, seed_for(seed, "transfer"), signs=signs)
    alignment = Alignment(tuple(runs.tolist()), found.permutations, found.signs)
    return alignment.apply(weights, part.runs, groups)


def _transfer(
    home: Checkpoints,
    embeddings: Embeddings,
    away: Checkpoints,
    tokens: Path,
    encoder: Autoencoder,
    config: ProbeConfig,
    embed: EmbedConfig,
    seed: int,
) -> tuple[list[Compared], dict[str, str]]:
    (part,) = away.parts
    encoder.check_positions(part.positions)
    latents = encode(encoder, part.values, part.positions, part.lengths, embed)
    visiting = pool("sane", latents, part.positions[:, 1])
    features = _stacked(embeddings.vectors, visiting)
    features |= _stacked(_of_the_weights(home), _of_the_weights(away))
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


def _of_the_weights(checkpoints: Checkpoints) -> dict[str, np.ndarray]:
    """Return s(W), and W unless networks are too large for it."""
    found = {STATISTICS: statistics(checkpoints)}
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
