"""Draw one zoo's report into a folder: `figures/*.png` and `tables.json`.

Only data go in, no times and no links, so that equal artifacts give an equal report, byte for byte.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from sane_core.architectures.registry import architecture_named
from sane_core.reporting import (
    ablation_figures,
    ablation_tables,
    figures,
    front_figure,
    generation_figures,
    pretraining_tables,
    probe_tables,
    tables,
    transfer_figures,
    transfer_tables,
    weights_figures,
    weights_tables,
)
from sane_core.reporting.analysis_draw import of_the_analysis, write_drawn
from sane_core.reporting.beside import fronts, pages
from sane_core.reporting.beside.outcome import Outcome, Subject
from sane_core.reporting.counterpart import STAND_IN, Counterpart
from sane_core.reporting.table import Table
from sane_core.weights.symmetry.derive import symmetries_of


@dataclass(frozen=True)
class ReportSources:
    """What a report is drawn from; an experiment that was not run is None.

    Attributes:
        zoo: Folder of the zoo stage.
        tokens: Folder of the preprocess stage.
        model: Folder of the pretrain stage.
        probe: Folder of the probe stage.
        generation: Folder of the generate stage.
        metrics: Flat metrics of all stages.
        facts: What is worth saying in words, as `windows.reader`.
        evaluation: Folder of the evaluation stage.
        baseline: Folder of the evaluation stage of the global baseline.
        ablation: Folder of the ablation stage.
        analysis: Folder of the analysis stage.
        transfer: Folder of the transfer stage.
        transferred: Folders of the transfer_learning stage, one per target.
        targets: Its configurations, in the same order.
        beside: The published zoo to read all of it beside.
        name: Of the zoo.
        dataset: That the zoo's networks see; "" if it is not known.
        generated: Configuration of the generate stage.
        images: Configuration of the images that it samples for; None if it is not known.
    """

    zoo: Path
    tokens: Path
    model: Path
    probe: Path | None
    generation: Path | None
    metrics: Mapping[str, float]
    facts: Mapping[str, str]
    evaluation: Path | None = None
    baseline: Path | None = None
    ablation: Path | None = None
    analysis: Path | None = None
    transfer: Path | None = None
    transferred: Sequence[Path] = ()
    targets: Sequence[Mapping[str, Any]] = ()
    beside: Counterpart = STAND_IN
    name: str = "zoo"
    dataset: str = ""
    generated: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, Any] | None = None


def draw_report(sources: ReportSources, folder: Path) -> None:
    """Draw every figure and table there are data for.

    Args:
        sources: Artifact folders and metrics.
        folder: Gets `figures/<name>.png` and `tables.json`.

    Raises:
        ValueError: If metrics of the preprocess stage are missing.
    """
    parts = [_of_the_model(sources), _of_the_weights(sources)]
    if sources.evaluation:
        parts.append(_of_the_evaluation(sources.evaluation, sources))
    if sources.ablation:
        parts.append(_of_the_ablations(sources.ablation))
    if sources.analysis:
        parts.append(of_the_analysis(sources.analysis))
    if sources.probe:
        parts.append(_of_the_probes(sources.probe, sources))
    if sources.transfer:
        parts.append(_of_the_transfer(sources.transfer))
    if sources.generation:
        parts.append(_of_the_generation(sources.generation, sources))
    if sources.transferred:
        parts.append(_of_the_targets(sources))
    drawn = {name: figure for figures_of, _ in parts for name, figure in figures_of.items()}
    written = {name: table for _, tables_of in parts for name, table in tables_of.items()}
    write_drawn(folder, drawn, written)


def _of_the_model(sources: ReportSources) -> tuple[dict[str, Figure], dict[str, Table]]:
    checkpoints = pl.read_parquet(sources.zoo / "checkpoints.parquet")
    drawn = {
        "zoo_accuracy": figures.zoo_accuracy(checkpoints),
        "pretraining": figures.pretraining(pl.read_parquet(sources.model / "history.parquet")),
    }
    return drawn, {"zoo": tables.zoo_table(checkpoints)}


def _of_the_evaluation(
    folder: Path, sources: ReportSources
) -> tuple[dict[str, Figure], dict[str, Table]]:
    evaluated = {"SANE": folder, "one embedding per model": sources.baseline}
    rows = {
        name: pl.read_parquet(each / "evaluation.parquet")
        for name, each in evaluated.items()
        if each
    }
    written = {
        "pretraining": pretraining_tables.trained_table(sources.metrics),
        "reconstruction": pretraining_tables.reconstruction_table(rows),
    }
    return {"reconstruction": ablation_figures.layers(rows["SANE"])}, written


def _of_the_weights(sources: ReportSources) -> tuple[dict[str, Figure], dict[str, Table]]:
    layers = pl.read_parquet(sources.tokens / "layers.parquet")
    d_t = _token_size(sources.tokens / "tokens")
    distances = pl.read_parquet(sources.tokens / "distances.parquet")
    drawn = {
        "alignment": weights_figures.alignment(distances),
        "distributions": weights_figures.distributions(layers),
        "fill": weights_figures.fill(layers, d_t),
    }
    network = architecture_named(layers["architecture"][0])
    fixed = weights_tables.fixed_table(symmetries_of(network).fixed)
    written = {
        "alignment": weights_tables.alignment_table(sources.metrics),
        "tokens": weights_tables.tokens_table(layers, d_t, sources.metrics),
    }
    return drawn, written | ({"fixed": fixed} if fixed else {})


def _token_size(folder: Path) -> int:
    """Read d_t off the schema of any part of the tokens."""
    part = min(folder.glob("split=*/*.parquet"))
    return int(pq.read_schema(part).field("values").type.list_size)


def _of_the_probes(
    folder: Path, sources: ReportSources
) -> tuple[dict[str, Figure], dict[str, Table]]:
    beside, tested = sources.beside, sources.facts.get("probe.tested", "")
    numbers, classes, comparisons, intervals, gate, unavailable = (
        pl.read_parquet(folder / f"{name}.parquet")
        for name in ("probes", "classes", "comparisons", "intervals", "gate", "unavailable")
    )
    drawn: dict[str, Figure] = {}
    written = {"probe_comparisons": probe_tables.comparisons_table(comparisons)}
    if len(numbers):
        predictions = pl.read_parquet(folder / "predictions.parquet")
        drawn["probe_r2"] = figures.probe_r2(numbers)
        drawn["predictions"] = figures.predictions(predictions)
        written = {"probes": tables.probes_table(numbers, beside, tested)} | written
        written["probe_published"] = probe_tables.published_table(numbers, beside)
    if len(classes):
        written["probe_classes"] = probe_tables.classes_table(classes)
    if len(intervals):
        written["probe_intervals"] = probe_tables.intervals_table(intervals)
    written["probe_gate"] = probe_tables.gate_table(gate)
    if len(numbers):
        written["probe_choices"] = tables.choices_table(numbers)
    missing = probe_tables.unavailable_table(unavailable)
    return drawn, written | ({"probe_missing": missing} if missing else {})


def _of_the_transfer(folder: Path) -> tuple[dict[str, Figure], dict[str, Table]]:
    results = pl.read_parquet(folder / "transfer.parquet")
    missing = probe_tables.unavailable_table(pl.read_parquet(folder / "unavailable.parquet"))
    written = {"probe_transfer": probe_tables.transfer_table(results)} if len(results) else {}
    return {}, written | ({"transfer_missing": missing} if missing else {})


def _of_the_generation(
    folder: Path, sources: ReportSources
) -> tuple[dict[str, Figure], dict[str, Table]]:
    accuracy = pl.read_parquet(folder / "accuracy.parquet")
    samples = pl.read_parquet(folder / "samples.parquet")
    subject = Subject(sources.name, beside=sources.beside)
    outcome = Outcome("generation", subject, folder, sources.generated, images=sources.images)
    points = fronts.points_of([outcome])
    drawn = {
        "finetuning": generation_figures.finetuning(accuracy),
        "front": front_figure.front(points, fronts.references_of([outcome])),
    }
    written = pages.of_generation(outcome) | {"novelty": tables.novelty_table(samples)}
    if gaps := fronts.gaps_table(points, sources.name):
        written["front_gaps"] = gaps
    return drawn, written


def _of_the_targets(sources: ReportSources) -> tuple[dict[str, Figure], dict[str, Table]]:
    folders = sources.transferred
    accuracy = [pl.read_parquet(folder / "accuracy.parquet") for folder in folders]
    written = {}
    network = str(pl.read_parquet(sources.tokens / "layers.parquet")["architecture"][0])
    zoo = Subject(sources.name, network, sources.dataset, sources.beside)
    for folder, config, rows in zip(folders, sources.targets, accuracy, strict=True):
        facts = json.loads((folder / "target.json").read_text(encoding="utf-8"))
        ensembles = pl.read_parquet(folder / "ensembles.parquet")
        samples = pl.read_parquet(folder / "samples.parquet")
        table = transfer_tables.target_table(facts, rows, ensembles, samples)
        written[f"transferred:{facts['target']}:paper"] = pages.of_transfer(folder, config, zoo)
        written[f"transferred:{facts['target']}"] = table
    return {"transferred": transfer_figures.targets(pl.concat(accuracy))}, written


def _of_the_ablations(folder: Path) -> tuple[dict[str, Figure], dict[str, Table]]:
    drawn: dict[str, Figure] = {}
    written: dict[str, Table] = {}
    views, sizes, inference = (
        pl.read_parquet(path) if (path := folder / f"{name}.parquet").exists() else None
        for name in ("views", "window_sizes", "inference")
    )
    if views is not None:
        drawn["ablation_views"] = ablation_figures.views(views)
        written["ablation_views"] = ablation_tables.views_table(views)
    if inference is not None:
        drawn["ablation_inference"] = ablation_figures.inference(inference)
        written["ablation_inference"] = ablation_tables.inference_table(inference)
    if sizes is not None:
        drawn["ablation_sizes"] = ablation_figures.sizes(sizes)
        written["ablation_sizes"] = ablation_tables.sizes_table(sizes)
    return drawn, written
