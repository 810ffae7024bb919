"""The analysis of layers as stages (§4): of each zoo, then of all that one SANE was trained on."""

from flows.algorithm import Compiled, Run
from flows.session import TOGETHER, Session, ZooReport
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact
from tasks.analysis import AnalysisStage, analyse
from tasks.analysis_together import TogetherStage, analyse_together


def analyse_one(run: Run, config: BenchmarkConfig, zoo: Compiled, model: Artifact) -> Artifact:
    """Measure the layers of a zoo's networks."""
    stage = AnalysisStage(name=zoo.name, analyse=config.analyse, embed=config.embed.passes())
    return run(analyse, stage, zoo=zoo.zoo.artifact, tokens=zoo.tokens, model=model)


def analyse_all(session: Session, config: BenchmarkConfig) -> list[ZooReport]:
    """Put the zoos' analyses side by side, if there are several; return what the page shows."""
    if "analyse" not in config.experiments or len(config.zoos) < 2:
        return []
    made = {r.zoo: r.artifact for r in session.records if r.stage == analyse.name}
    inputs = {f"zoo_{i}": made[source.name] for i, source in enumerate(config.zoos)}
    run = session.for_zoo(TOGETHER)
    return [run.report(run(analyse_together, TogetherStage(), **inputs))]
