"""Probe a whole zoo: SANE's embeddings beside W, s(W) and the controls, on the same checkpoints."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sane_core.embedding.files import Embeddings
from sane_core.probing.checkpoints import read_checkpoints
from sane_core.probing.compare import Compared, chosen_poolings, compare, fit_all
from sane_core.probing.features import KINDS, make_features
from sane_core.probing.folds import Sides, fixed_sides, folded_sides
from sane_core.probing.judge import coverages, gate_pooling, predictor_of, try_gate, zoo_gate
from sane_core.probing.predictor import write_predictor
from sane_core.probing.selections import STATISTICS
from sane_core.probing.tables import Probed, write_probed
from sane_core.probing.targets import Target, read_targets, reason_against
from sane_core.seeding import rng_for
from sane_core.weights.frame import read_frame
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.probe import ProbeConfig
from schemas.errors import UserError

STEPS = len(KINDS) + 2
"""Calls of `on_features`: as each kind of features is ready, the probes, and the rest."""

FULL = "sane_full"
DEAR = ("untrained_full", "pca_full")
"""Controls that are fitted only if SANE's full sequence was chosen for some target."""


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
    zoo: Path | None = None,
    preprocess: PreprocessConfig = PreprocessConfig(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """Fit every probe and write the tables that `tables.py` lists, and `predictor.safetensors`.

    Args:
        tokens: Folder of the preprocess stage.
        model: Folder of the pretrain stage.
        embeddings: SANE's embeddings.
        config: Targets, λ candidates, folds, coverage.
        embed: Chunk sizes and views of what is embedded here.
        seed: The run's seed.
        folder: Gets the tables.
        on_features: Called `STEPS` times.
        baseline: Embeddings of the same checkpoints by an autoencoder with one latent per model;
            they are the features `global`.
        zoo: Folder of the zoo stage; without it, networks with entries that are no tokens (batch
            norms) cannot be run, and have no outputs.
        preprocess: As the zoo was made into tokens.

    Returns:
        Metrics, as `tables.metrics_of`.

    Raises:
        ValueError: If the baseline's embeddings are of other checkpoints, or several per model.
        UserError: If no target can be probed, or there are fewer runs than folds.
    """
    targets, reasons = read_targets(
        tokens / "checkpoints.parquet", embeddings.runs, embeddings.epochs, config.targets
    )
    sides = sides_of(embeddings, config, seed)
    usable = _usable(targets, sides, reasons)
    checkpoints = read_checkpoints(tokens, embeddings, zoo)
    features, missing = make_features(
        checkpoints, model, embeddings, embed, config.outputs, seed, baseline, on_features
    )
    compared = probe_targets(features, usable, embeddings.runs, sides, config, seed)
    if on_features:
        on_features()
    fixed = _on_the_split(compared, features, usable, embeddings, config, seed)
    statistics = features[STATISTICS]
    gate = zoo_gate(embeddings, statistics, config)
    frame = read_frame(tokens, zoo, preprocess, seed)
    alarms = try_gate(gate, checkpoints, frame, model, embeddings, statistics, embed, seed)
    rows = {target.name: known(target) for target in usable}
    runs = {name: embeddings.runs[at] for name, at in rows.items()}
    probed = Probed(
        compared=compared,
        rows=rows,
        runs=embeddings.runs,
        epochs=embeddings.epochs,
        coverages=[
            row
            for each in fixed
            for row in coverages(each, runs[each.target.name], config.coverage)
        ],
        gate=gate,
        alarms=alarms,
        unavailable={"target": reasons, "features": missing},
    )
    predictor = predictor_of(fixed, runs, gate, gate_pooling(embeddings.vectors), config)
    write_predictor(folder / "predictor.safetensors", predictor)
    if on_features:
        on_features()
    return write_probed(folder, probed)


def runs_tested(config: ProbeConfig, views: int = 1) -> str:
    """Say which runs probes are tested on, and in how many views, if in several."""
    averaged = f"; SANE, its untrained control and the PCA averaged over {views} views"
    return _tested(config) + averaged * (views > 1)


def _tested(config: ProbeConfig) -> str:
    if not config.folds:
        return "the test runs of the fixed split"
    if config.fold_over == "unseen":
        return f"validation and test runs in {config.folds} folds over runs"
    return (
        f"all runs in {config.folds} folds over runs: SANE was trained on the weights of the train "
        "runs among them, though on none of their properties"
    )


def sides_of(embeddings: Embeddings, config: ProbeConfig, seed: int) -> list[Sides]:
    """Return the fixed split, or folds.

    Raises:
        UserError: If there are fewer runs than folds.
    """
    if not config.folds:
        return fixed_sides(embeddings.split)
    rng = rng_for(seed, "probe folds")
    return folded_sides(embeddings.runs, embeddings.split, config.folds, config.fold_over, rng)


def known(target: Target) -> np.ndarray:
    """Return the rows whose value is known, ascending."""
    return np.flatnonzero(np.isfinite(target.values))


def probe_targets(
    features: dict[str, np.ndarray],
    targets: Sequence[Target],
    runs: np.ndarray,
    sides: Sequence[Sides],
    config: ProbeConfig,
    seed: int,
) -> list[Compared]:
    """Probe targets, together where the same checkpoints' values are known.

    Args:
        features: Name -> float [rows, d].
        targets: Properties, of all rows.
        runs: int [rows].
        sides: Folds.
        config: λ candidates and resamples.
        seed: The run's seed.
    """
    groups: dict[bytes, list[Target]] = {}
    for target in targets:
        groups.setdefault(known(target).tobytes(), []).append(target)
    made: dict[str, Compared] = {}
    for group in groups.values():
        rows = known(group[0])
        own = [target.take(rows) for target in group]
        among = [side.among(rows) for side in sides]
        of_rows = features
        if len(rows) < len(runs):
            of_rows = {name: values[rows] for name, values in features.items()}
        fits = fit_all(without_dear_controls(of_rows), own, among, config.lambdas)
        if FULL in chosen_poolings(fits, own):
            dear = {name: of_rows[name] for name in DEAR if name in of_rows}
            fits |= fit_all(dear, own, among, config.lambdas)
        for target in own:
            made[target.name] = compare(fits, target, runs[rows], among, config, seed)
    return [made[target.name] for target in targets]


def without_dear_controls(features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out the controls' full sequences, which take the most time of all features."""
    return {name: values for name, values in features.items() if name not in DEAR}


def _usable(
    targets: Sequence[Target], sides: Sequence[Sides], reasons: dict[str, str]
) -> list[Target]:
    """Return the targets that can be probed; add to the reasons why others cannot."""
    usable = []
    for target in targets:
        reason = reason_against(target, sides)
        if reason:
            reasons[target.name] = reason
        else:
            usable.append(target)
    if not usable:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UserError(
            f"probe.targets must name a property that can be probed, got none ({why}); name "
            "others, or leave probe out of experiments"
        )
    return usable


def _on_the_split(
    compared: list[Compared],
    features: dict[str, np.ndarray],
    targets: Sequence[Target],
    embeddings: Embeddings,
    config: ProbeConfig,
    seed: int,
) -> list[Compared]:
    """Return the probes of the fixed split, which new models are read by."""
    if not config.folds:
        return compared
    sides = fixed_sides(embeddings.split)
    numbers = [t for t in targets if not t.classes and not reason_against(t, sides)]
    names = [STATISTICS, *embeddings.vectors]
    own = {name: features[name] for name in names}
    return probe_targets(own, numbers, embeddings.runs, sides, config, seed)
