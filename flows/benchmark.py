"""The flow `sane`: every experiment on every zoo (Algorithms 1, 2 and 3), then the report."""

from collections.abc import Callable
from typing import Any

from prefect import flow

from flows.made_zoo import make_zoo
from flows.session import Session, ZooReport
from schemas.config.benchmark import BenchmarkConfig, ZooSource
from schemas.errors import UserError
from schemas.records import Artifact
from tasks.embeddings import EmbedStage, embed
from tasks.generation import GenerateStage, generate
from tasks.model import PretrainStage, pretrain
from tasks.probes import ProbeStage, probe
from tasks.report import ReportStage, report
from tasks.runners import shards_on
from tasks.tokens import preprocess
from tasks.windows import compile_windows


@flow(name="sane", flow_run_name="{config.name}", validate_parameters=True, log_prints=False)
def sane(config: BenchmarkConfig) -> str:
    """Run every experiment on every zoo and return the path of the report."""
    with shards_on(config.runner), Session(config) as session:
        reports = [_one_zoo(session, config, zoo) for zoo in config.zoos]
        return str(session.publish(reports))


def _one_zoo(session: Session, config: BenchmarkConfig, source: ZooSource) -> ZooReport:
    run = session.for_zoo(source.name)
    return run.report(run_stages(run, config, source))


def run_stages(
    run: Callable[..., Artifact], config: BenchmarkConfig, source: ZooSource
) -> Artifact:
    """Algorithm 1, then the experiments; returns the drawn report.

    Args:
        run: Runs one stage, `run(stage, config, **inputs)`, and returns its artifact.
        config: The benchmark's configuration.
        source: The zoo's.

    Raises:
        UserError: If a zoo cannot be had, or lacks what an experiment needs.
    """
    made = make_zoo(run, config, source)
    zoo = made.artifact
    if "generate" in config.experiments and (made.images is None or made.training is None):
        raise UserError(
            f"experiment generate needs the images and the recipe of zoo {source.name}, which was "
            "trained elsewhere; leave generate out of experiments"
        )
    cut = config.windows.epochs(made.epochs[-1])
    epochs = tuple(epoch for epoch in made.epochs if epoch in cut)

    tokens = run(preprocess, config.preprocess, zoo=zoo)
    # Who reads the windows changes nothing in them: another reader compiles nothing again.
    compiled = config.windows.model_copy(update={"reader": "ffcv"})
    windows = run(compile_windows, compiled, tokens=tokens)
    model = run(
        pretrain,
        PretrainStage(pretrain=config.pretrain, reader=config.windows.reader),
        windows=windows,
    )

    experiments: dict[str, Artifact] = {}
    if "probe" in config.experiments:
        embeddings = run(
            embed, EmbedStage(embed=config.embed, epochs=epochs), tokens=tokens, model=model
        )
        probing: dict[str, Any] = {"tokens": tokens, "model": model, "embeddings": embeddings}
        experiments["probes"] = run(
            probe, ProbeStage(probe=config.probe, embed=config.embed), **probing
        )
    if "generate" in config.experiments and made.images and made.training:
        stage = GenerateStage(
            generate=config.generate, embed=config.embed, recipe=made.training, epochs=epochs
        )
        experiments["generation"] = run(
            generate, stage, images=made.images, tokens=tokens, model=model
        )
    return run(
        report, ReportStage(), zoo=zoo, tokens=tokens, windows=windows, model=model, **experiments
    )
