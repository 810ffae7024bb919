"""The flow `sane`: every experiment on every zoo (Algorithms 1, 2 and 3), then the report."""

from collections.abc import Callable
from typing import Any

from prefect import flow

from flows.session import Session, ZooReport
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.zoo import ZooConfig
from schemas.records import Artifact
from tasks.embeddings import EmbedStage, embed
from tasks.generation import GenerateStage, generate
from tasks.images import ImagesStage, prepare_images
from tasks.model import PretrainStage, pretrain
from tasks.probes import ProbeStage, probe
from tasks.report import ReportStage, report
from tasks.tokens import preprocess
from tasks.windows import compile_windows
from tasks.zoo import ZooStage, build_zoo


@flow(name="sane", flow_run_name="{config.name}", validate_parameters=True, log_prints=False)
def sane(config: BenchmarkConfig) -> str:
    """Run every experiment on every zoo and return the path of the report."""
    with Session(config) as session:
        reports = [_one_zoo(session, config, zoo) for zoo in config.zoos]
        return str(session.publish(reports))


def _one_zoo(session: Session, config: BenchmarkConfig, recipe: ZooConfig) -> ZooReport:
    run = session.for_zoo(recipe.name)
    return run.report(run_stages(run, config, recipe))


def run_stages(
    run: Callable[..., Artifact], config: BenchmarkConfig, recipe: ZooConfig
) -> Artifact:
    """Algorithm 1, then the experiments; returns the drawn report.

    Args:
        run: Runs one stage, `run(stage, config, **inputs)`, and returns its artifact.
        config: The benchmark's configuration.
        recipe: The zoo's.
    """
    epochs = config.windows.epochs(recipe.epochs)

    images = run(prepare_images, ImagesStage.of(recipe.images, config.data))
    zoo = run(build_zoo, ZooStage.of(recipe), images=images)
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
    if "generate" in config.experiments:
        stage = GenerateStage(
            generate=config.generate,
            embed=config.embed,
            recipe=recipe.training(),
            epochs=epochs,
        )
        experiments["generation"] = run(generate, stage, images=images, tokens=tokens, model=model)
    return run(
        report, ReportStage(), zoo=zoo, tokens=tokens, windows=windows, model=model, **experiments
    )
