"""What the probes' answers are worth for new models: intervals, and the gate before them.

Both are calibrated on validation runs, which also chose λ and the pooling, so what they promise is
promised approximately; what they did on test runs is reported beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.embedding.device import on_gpu
from sane_core.embedding.files import Embeddings
from sane_core.embedding.frames import embed_models, frames_of
from sane_core.pretraining.files import load
from sane_core.probing.checkpoints import Checkpoints
from sane_core.probing.compare import Compared
from sane_core.probing.conformal import Coverage, run_quantile
from sane_core.probing.folds import Sides
from sane_core.probing.foreign import KINDS, make_foreign, tokens_of
from sane_core.probing.gate import Gate, fit_gate
from sane_core.probing.linear import Fit
from sane_core.probing.predictor import Predictor, Reading
from sane_core.probing.selections import BESIDE, COMBINED, SELECTED, STATISTICS
from sane_core.probing.statistics import weight_statistics
from sane_core.seeding import rng_for
from sane_core.weights.frame import Frame
from schemas.config.embed import EmbedConfig
from schemas.config.probe import ProbeConfig

CALIBRATED = (SELECTED, COMBINED, STATISTICS)
"""Features whose predictions get intervals."""


@dataclass(frozen=True)
class Alarms:
    """How a gate judged some networks.

    Attributes:
        networks: What they are: "test", or a kind of foreign networks.
        foreign: Share that it called foreign.
        distance: Median distance, in units of the threshold.
        count: How many checkpoints.
        runs: Of how many runs.
    """

    networks: str
    foreign: float
    distance: float
    count: int
    runs: int


def half_width(compared: Compared, fit: Fit, side: Sides, runs: np.ndarray, asked: float) -> float:
    """Return the half-width of the intervals of one fit, calibrated on its validation runs."""
    errors = np.abs(compared.target.values[side.validation] - fit.validation[:, 0])
    return run_quantile(errors, runs[side.validation], asked)


def coverages(compared: Compared, runs: np.ndarray, asked: float) -> list[Coverage]:
    """Try intervals on the tested runs, for every kind of features that gets them.

    Args:
        compared: One target; there are no intervals of classes.
        runs: int [rows] of its rows.
        asked: Share of checkpoints to hold.
    """
    if compared.target.classes:
        return []
    truth, found = compared.target.values, []
    for name in (name for name in CALIBRATED if name in compared.fits):
        held, widths = [], []
        for fit, side in zip(compared.fits[name], compared.sides, strict=True):
            half = half_width(compared, fit, side, runs, asked)
            held.append(np.abs(truth[side.test] - fit.test[:, 0]) <= half)
            widths.append(np.full(len(side.test), 2 * half))
        tested = np.concatenate([runs[side.test] for side in compared.sides])
        calibrated = [len(np.unique(runs[side.validation])) for side in compared.sides]
        found.append(
            Coverage(
                target=compared.target.name,
                features=name,
                asked=asked,
                coverage=float(np.concatenate(held).mean()),
                width=float(np.concatenate(widths).mean()),
                calibration_runs=min(calibrated),
                tested_runs=len(np.unique(tested)),
            )
        )
    return found


def gate_pooling(vectors: Mapping[str, np.ndarray]) -> str:
    """Return which pooling a gate looks at: that per layer, or the first there is."""
    return "sane_layers" if "sane_layers" in vectors else next(iter(vectors))


def zoo_gate(embeddings: Embeddings, statistics: np.ndarray, config: ProbeConfig) -> Gate:
    """Fit the gate of a zoo on its train and validation runs.

    Args:
        embeddings: SANE's.
        statistics: s(W) of the same checkpoints.
        config: The false alarms that are allowed.
    """
    pooled = embeddings.vectors[gate_pooling(embeddings.vectors)]
    train, validation = (
        (pooled[rows], statistics[rows])
        for rows in (embeddings.split == name for name in ("train", "validation"))
    )
    runs = embeddings.runs[embeddings.split == "validation"]
    return fit_gate(train, validation, runs, config.false_alarms)


def try_gate(
    gate: Gate,
    checkpoints: Checkpoints,
    frame: Frame,
    model: Path,
    embeddings: Embeddings,
    statistics: np.ndarray,
    embed: EmbedConfig,
    seed: int,
) -> list[Alarms]:
    """Show a gate the test runs, and networks made from their last epoch that are foreign.

    Args:
        gate: To try.
        checkpoints: Tokens of the zoo.
        frame: The zoo's.
        model: Folder of the pretrain stage.
        embeddings: SANE's.
        statistics: s(W) of the same checkpoints.
        embed: Chunk sizes and views.
        seed: The run's seed.
    """
    pooling = gate_pooling(embeddings.vectors)
    test = embeddings.split == "test"
    own = gate.distances(embeddings.vectors[pooling][test], statistics[test])
    found = [_alarms("test", own, len(np.unique(embeddings.runs[test])))]
    found += _foreign(gate, checkpoints.last_of("test"), frame, model, pooling, embed, seed)
    return found


def _foreign(
    gate: Gate,
    checkpoints: Checkpoints,
    frame: Frame,
    model: Path,
    pooling: str,
    embed: EmbedConfig,
    seed: int,
) -> list[Alarms]:
    """Show a gate networks made from others, piece by piece."""
    encoder, place = on_gpu(load(model)), (checkpoints.positions, checkpoints.lengths)
    frames = frames_of(checkpoints.folder / "tokens", checkpoints.layers, embed.views, seed)
    draws = {kind: rng_for(seed, "foreign", kind) for kind in KINDS}
    distances: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for part in checkpoints.pieces():
        raw = checkpoints.as_trained(checkpoints.entries(part), part)
        for kind, rng in draws.items():
            weights = make_foreign(raw, checkpoints.layers, kind, rng)
            tokens = tokens_of(weights, checkpoints, frame)
            vectors = embed_models(encoder, tokens, *place, frames, embed)
            beside = weight_statistics(weights, checkpoints.layers)
            distances[kind].append(gate.distances(vectors[pooling], beside))
    together = {kind: np.concatenate(own) for kind, own in distances.items()}
    return [_alarms(kind, own, len(own)) for kind, own in together.items()]


def predictor_of(
    compared: Sequence[Compared],
    runs: Mapping[str, np.ndarray],
    gate: Gate,
    pooling: str,
    config: ProbeConfig,
) -> Predictor:
    """Gather what new models are read by: SANE + s(W), fitted on the fixed split.

    Args:
        compared: Targets, each on the fixed split.
        runs: Target -> int [rows] of its rows.
        gate: Of the zoo.
        pooling: What the gate looks at.
        config: The coverage asked.
    """
    readings = {}
    for each in compared:
        if each.target.classes:
            continue
        name, fit, side = each.target.name, each.fits[COMBINED][0], each.sides[0]
        half = half_width(each, fit, side, runs[name], config.coverage)
        chosen = each.chosen[COMBINED][0].removesuffix(BESIDE)
        readings[name] = Reading(chosen, fit.ridge, half, config.coverage)
    return Predictor(gate, pooling, readings)


def _alarms(networks: str, distances: np.ndarray, runs: int) -> Alarms:
    return Alarms(
        networks=networks,
        foreign=float((distances > 1).mean()),
        distance=float(np.median(distances)),
        count=len(distances),
        runs=runs,
    )
