"""Put a run's outcome where people look: the HTML page, `results.json`, a markdown summary."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sane_core.analysis.map_page import write_map_page
from sane_core.reporting.costs import StageCost, costs_table
from sane_core.reporting.page import ZooReport as PageZoo
from sane_core.reporting.page import write_page
from schemas.config.benchmark import BenchmarkConfig
from tasks.report_folder import naming_the_folder
from tasks.tracking_places import RunLink, is_server, ui_command

HEADLINES = (
    "probe.r2.test_accuracy.sane_selected",
    "probe.r2.test_accuracy.statistics",
    "probe.r2.epoch.sane_selected",
    "probe.r2.epoch.statistics",
    "probe.r2.generalization_gap.sane_selected",
    "probe.r2.generalization_gap.statistics",
    "generation.accuracy.sub.epoch0",
    "generation.accuracy.prompts.epoch0",
    "generation.accuracy.prompts_selected.epoch0",
    "generation.accuracy.noise.epoch0",
    "generation.accuracy.sub.epoch1",
    "generation.accuracy.scratch.epoch1",
    "evaluation.test.reconstruction",
    "evaluation.latents_per_weight",
)


@dataclass(frozen=True)
class ZooReport:
    """One zoo's share of the page.

    Attributes:
        zoo: Name of the zoo.
        folder: Folder of the report artifact: figures and tables.
        metrics: Flat metric name -> value.
        facts: Named facts.
        digests: Stage -> content digest.
        map: The drawn map of its embeddings, JSON; None where nothing was embedded.
    """

    zoo: str
    folder: Path
    metrics: Mapping[str, float]
    facts: Mapping[str, str]
    digests: Mapping[str, str]
    map: Path | None = None


def results(config: BenchmarkConfig, reports: Sequence[ZooReport]) -> dict[str, object]:
    """Return flat results; with more than one zoo, names are prefixed by the zoo's."""
    flat: dict[str, object] = {"benchmark": config.name, "seed": config.seed}
    for report in reports:
        prefix = f"{report.zoo}." if len(reports) > 1 else ""
        digests = {f"digest.{stage}": digest for stage, digest in report.digests.items()}
        for name, value in ({**report.metrics, **report.facts, **digests}).items():
            flat[prefix + name] = value
    return flat


def publish_page(
    out: Path,
    config: BenchmarkConfig,
    reports: Sequence[ZooReport],
    costs: Sequence[StageCost],
    provenance: Mapping[str, str],
) -> Path:
    """Write `report.html`, `results.json` and each zoo's figures, tables and map into a folder.

    Raises:
        UserError: If the folder cannot be written.
    """
    with naming_the_folder(out):
        out.mkdir(parents=True, exist_ok=True)
        for report in reports:
            shutil.copytree(
                report.folder / "figures", out / "figures" / report.zoo, dirs_exist_ok=True
            )
        flat = results(config, reports)
        (out / "results.json").write_text(json.dumps(flat, indent=2, sort_keys=True) + "\n")
        zoos = [
            PageZoo(
                report.zoo,
                report.folder,
                report.metrics,
                report.facts,
                _publish_map(out, report, alone=len(reports) == 1),
            )
            for report in reports
        ]
        return write_page(out, config.name, zoos, costs_table(costs), provenance)


def _publish_map(out: Path, report: ZooReport, alone: bool) -> str | None:
    """Write a zoo's map and return its name; one of an earlier run does not stay."""
    name = "map.html" if alone else f"map-{report.zoo}.html"
    if report.map is None:
        (out / name).unlink(missing_ok=True)
        return None
    write_map_page(out / name, report.zoo, report.map.read_text(encoding="ascii"))
    return name


def markdown_summary(
    config: BenchmarkConfig, reports: Sequence[ZooReport], page: Path, tracked: RunLink
) -> str:
    """Return the headline numbers in markdown, with the way to the page and the MLflow run."""
    lines = [
        f"# {config.name}",
        "",
        f"- Report: [{page.name}]({tracked.file_url(page.name)}), on the worker `{page.resolve()}`",
        f"- MLflow: [run {tracked.run_id}]({tracked.url})",
    ]
    if not is_server(config.tracking.uri):
        lines.append(f"- Both links open while this runs: `{ui_command(config.tracking)}`")
    for report in reports:
        lines += ["", f"## {report.zoo}", "", "| metric | value |", "|---|---|"]
        lines += [f"| `{name}` | {value:.4f} |" for name, value in headlines(report)]
    return "\n".join(lines)


def headlines(report: ZooReport) -> list[tuple[str, float]]:
    """Return the headline metrics that there are."""
    return [(name, report.metrics[name]) for name in HEADLINES if name in report.metrics]
