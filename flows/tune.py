"""The flow `sane-tune`: search the hyper-parameters of pretraining.

A trial trains one autoencoder by the stages of the flow `sane`; what comes before is in the store.
A trial that is worse than others at the same epoch is stopped, one whose process was killed is
tried again and goes on with what it has trained.
"""

from collections.abc import Mapping, Sequence

from prefect import flow
from rich.console import Console

from flows.algorithm import Compiled
from flows.session import Session, flow_run
from flows.tune_configuration import Search, read_search
from flows.tune_measure import measure, prepare, promise
from flows.tune_outcome import BEST_FILE, publish
from schemas.config.tune import TuneConfig
from schemas.errors import DamagedArtifact, DiskFull, SaneError, UserError
from tasks.live import Stopped, watching
from tasks.runners import shards_on
from tasks.study import Study
from tasks.study_trials import Trial
from tasks.tracking_study import StudyRuns

FAILURES = 3
"""Trials that may fail one after the other; then the search itself is taken to be at fault."""

_ENDS_ALL = (UserError, DiskFull, DamagedArtifact)


@flow(name="sane-tune", flow_run_name="{config.study}", validate_parameters=True, log_prints=False)
def tune(config: TuneConfig) -> str:
    """Run trials until there are as many as wanted; return the path of the best configuration."""
    search = read_search(config)
    study = search.open_study()
    with shards_on(search.benchmark.runner), StudySession(search, study) as session:
        session.runs.settle(study.records())
        made = None
        if search.space.earlier:
            _say(f"stages before training run again for every value of {search.space.earlier}")
        else:
            made = prepare(session, search.benchmark, config.target)
        _run_trials(session, made)
        best = publish(search, study)
        session.runs.conclude(study.records(), best)
        session.tracking.log_files(session.parent, search.out)
    return str(search.out / BEST_FILE)


class StudySession(Session):
    """A session whose tracked run is that of the study, whichever flow run works on it."""

    def __init__(self, search: Search, study: Study) -> None:
        super().__init__(search.benchmark)
        self.search, self.study = search, study

    def start(self) -> str:
        """Return the study's run."""
        self.runs = StudyRuns(self.tracking, self.study.uid, self.study.name)
        return self.runs.start(flow_run(), self.search.config)


def _run_trials(session: StudySession, made: Sequence[Compiled] | None) -> None:
    failures: list[str] = []
    while trial := session.study.next(session.search.config.trials):
        note = _run_trial(session, trial, made)
        session.runs.settle(session.study.records())
        failures = [*failures, note] if note else []
        if len(failures) == FAILURES:
            raise SaneError(
                f"{FAILURES} trials of study {session.study.name} failed in turn, the last one: "
                f"{note}"
            )


def _run_trial(session: StudySession, trial: Trial, made: Sequence[Compiled] | None) -> str | None:
    """Run a trial to whatever end; return why it failed, if it did."""
    search = session.search
    objective = search.config.objective
    try:
        run = session.runs.trial(trial.number, trial.params)
        config = search.space.configuration(trial.params)
        inner = session.under(run, config)

        def on_epoch(record: Mapping[str, float]) -> None:
            if search.prunes:
                epoch = int(record["epoch"])
                last = epoch == config.pretrain.epochs
                trial.report(epoch, promise(objective, record), last)

        if search.prunes and session.study.was_pruned(trial):
            raise Stopped(f"trial {trial.number} has the values of one that was pruned")
        zoos = made or prepare(inner, config, search.config.target)
        with watching(on_epoch):
            value = measure(inner, config, zoos, objective)
    except Stopped:
        trial.prune()
        _say(f"trial {trial.number}: pruned {dict(trial.params)}")
    except BaseException as error:
        if isinstance(error, SaneError) and not isinstance(error, _ENDS_ALL):
            trial.fail(str(error))
            _say(f"trial {trial.number}: failed {dict(trial.params)}: {error}")
            return str(error)
        trial.interrupt()
        session.runs.settle(session.study.records())
        raise
    else:
        trial.complete(value)
        _say(f"trial {trial.number}: {objective} {value:.5g} {dict(trial.params)}")
    return None


def _say(line: str) -> None:
    Console(stderr=True).print(line, soft_wrap=True, highlight=False, markup=False)
