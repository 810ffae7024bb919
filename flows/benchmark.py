"""The flow `sane`: every experiment on every zoo (Algorithms 1, 2 and 3), then the report."""

from prefect import flow

from flows.algorithm import Compiled, Run, compile_zoo, train
from flows.analyse import analyse_all
from flows.experiments import experiment
from flows.session import TOGETHER, Session, ZooReport, ZooRun
from schemas.config.benchmark import BenchmarkConfig, ZooSource
from schemas.records import Artifact
from tasks.runners import shards_on


@flow(name="sane", flow_run_name="{config.name}", validate_parameters=True, log_prints=False)
def sane(config: BenchmarkConfig) -> str:
    """Run every experiment on every zoo and return the path of the report."""
    with shards_on(config.runner), Session(config) as session:
        run_zoos = _together if config.together else _each
        return str(session.publish(run_zoos(session, config)))


def run_stages(run: Run, config: BenchmarkConfig, source: ZooSource) -> Artifact:
    """Algorithm 1 on one zoo, then the experiments; return the drawn report."""
    zoo = compile_zoo(run, config, source)
    return experiment(run, config, zoo, train(run, config, [zoo]))


def _each(session: Session, config: BenchmarkConfig) -> list[ZooReport]:
    """Train an autoencoder on each zoo."""
    if config.probe.transfer and "probe" in config.experiments:
        return _each_on_all(session, config)
    reports = []
    for source in config.zoos:
        run = session.for_zoo(source.name)
        reports.append(run.report(run_stages(run, config, source)))
    return reports


def _each_on_all(session: Session, config: BenchmarkConfig) -> list[ZooReport]:
    """Train an autoencoder on each zoo, and test its probes on all others."""
    runs, zoos = _compile_all(session, config)
    reports = []
    for run, zoo in zip(runs, zoos, strict=True):
        others = [other for other in zoos if other is not zoo]
        drawn = experiment(run, config, zoo, train(run, config, [zoo]), others)
        reports.append(run.report(drawn))
    return reports


def _compile_all(session: Session, config: BenchmarkConfig) -> tuple[list[ZooRun], list[Compiled]]:
    """Return what runs the stages of each zoo, and its windows."""
    runs = [session.for_zoo(source.name) for source in config.zoos]
    pairs = zip(runs, config.zoos, strict=True)
    return runs, [compile_zoo(run, config, source) for run, source in pairs]


def _together(session: Session, config: BenchmarkConfig) -> list[ZooReport]:
    """Train one autoencoder on all zoos, then experiment on each of them and compare."""
    runs, zoos = _compile_all(session, config)
    model = train(session.for_zoo(TOGETHER), config, zoos)
    reports = [
        run.report(experiment(run, config, zoo, model, [z for z in zoos if z is not zoo]))
        for run, zoo in zip(runs, zoos, strict=True)
    ]
    return reports + analyse_all(session, config)
