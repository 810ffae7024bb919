"""Stages `analysis` and `analysis_together`: the layers of one zoo's networks, and of several's."""

from pydantic import Field

from sane_core.analysis.together import join
from sane_core.analysis.zoo import Sources, analyse_zoo
from sane_core.reporting.analysis_draw import of_the_analysis, write_drawn
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


class TogetherStage(Record):
    """The inputs are `zoo_<i>`, in the order of the zoos."""


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


@stage("analysis_together")
def analyse_together(job: Job, config: TogetherStage, seed: int, **analyses: OpenArtifact) -> None:
    """Put the analyses of several zoos side by side and draw them (Figures 3, 4, 7 to 11)."""
    del config, seed
    folders = [analyses[f"zoo_{i}"].folder for i in range(len(analyses))]
    job.metrics.update(join(folders, job.folder))
    write_drawn(job.folder, *of_the_analysis(job.folder))
