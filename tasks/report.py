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
    with progress_bar("report", 1, "zoos") as bar:
        draw_report(
            ReportSources(
                zoo=zoo.folder,
                tokens=tokens.folder,
                model=model.folder,
                probe=experiments["probes"].folder if "probes" in experiments else None,
                generation=experiments["generation"].folder
                if "generation" in experiments
                else None,
                metrics={
                    name: value
                    for item in opened.values()
                    for name, value in item.manifest.metrics.items()
                },
                facts={
                    name: value
                    for item in opened.values()
                    for name, value in item.manifest.facts.items()
                },
            ),
            job.folder,
        )
        bar.advance()
