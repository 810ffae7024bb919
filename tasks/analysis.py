"""Stage `analysis`: spectra of the layers of a zoo's networks, and spread of their tokens."""

from pydantic import Field

from sane_core.analysis.zoo import Sources, analyse_zoo
from schemas.config.analyse import AnalyseConfig
from schemas.config.embed import EmbedConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class AnalysisStage(Record):
    """The configuration of the analysis, with the chunk sizes of embedding."""

    name: str = Field(description="of the zoo")
    analyse: AnalyseConfig
    embed: EmbedConfig


@stage("analysis")
def analyse(
    job: Job,
    config: AnalysisStage,
    seed: int,
    zoo: OpenArtifact,
    tokens: OpenArtifact,
    model: OpenArtifact,
) -> None:
    """Measure every layer's spectrum, and the spread of its tokens (§4)."""
    sources = Sources(config.name, zoo.folder, tokens.folder, model.folder)
    with progress_bar("analyse", 2, "steps") as bar:
        metrics = analyse_zoo(sources, config.analyse, config.embed, seed, job.folder, bar.advance)
    job.metrics.update(metrics)
