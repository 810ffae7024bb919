"""Stage `analysis_together`: the analyses of several zoos side by side, drawn.

Drawing is no part of the stage `analysis`, so that a changed figure analyses nothing again.
"""

from sane_core.analysis.together import join
from sane_core.reporting.analysis_draw import of_the_analysis, write_drawn
from schemas.records import Record
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact


class TogetherStage(Record):
    """The inputs are `zoo_<i>`, in the order of the zoos."""


@stage("analysis_together")
def analyse_together(job: Job, config: TogetherStage, seed: int, **analyses: OpenArtifact) -> None:
    """Put the analyses of several zoos side by side and draw them (Figures 3, 4, 7 to 11)."""
    del config, seed
    folders = [analyses[f"zoo_{i}"].folder for i in range(len(analyses))]
    job.metrics.update(join(folders, job.folder))
    write_drawn(job.folder, *of_the_analysis(job.folder))
