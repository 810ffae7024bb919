"""Stage `report`: the figures and tables of one zoo, from its artifacts."""

from sane_core.reporting.draw import ReportSources, draw_report
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class ReportStage(Record):
    """The report takes everything from its inputs."""


@stage("report")
def report(
    job: Job,
    config: ReportStage,
    seed: int,
    zoo: OpenArtifact,
    tokens: OpenArtifact,
    windows: OpenArtifact,
    model: OpenArtifact,
    **experiments: OpenArtifact,
) -> None:
    """Draw every figure and collect every table."""
    del config, seed
    opened = {"zoo": zoo, "tokens": tokens, "windows": windows, "model": model} | experiments
    folders = {name: item.folder for name, item in experiments.items()}
    # A baseline's metrics have the names of SANE's own.
    own = [item.manifest for name, item in opened.items() if name != "baseline"]
    sources = ReportSources(
        zoo=zoo.folder,
        tokens=tokens.folder,
        model=model.folder,
        probe=folders.get("probes"),
        generation=folders.get("generation"),
        evaluation=folders.get("evaluation"),
        baseline=folders.get("baseline"),
        ablation=folders.get("ablation"),
        analysis=folders.get("analysis"),
        metrics={name: value for manifest in own for name, value in manifest.metrics.items()},
        facts={name: value for manifest in own for name, value in manifest.facts.items()},
    )
    with progress_bar("report", 1, "zoos") as bar:
        draw_report(sources, job.folder)
        bar.advance()
