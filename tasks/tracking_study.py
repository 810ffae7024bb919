"""A study in MLflow: a run of its own, whatever process works on it, and a child per trial.

What stands in the study's database is the truth. Runs follow it: a trial that ended while its run
did not, because a process was killed in between, is settled by the next.
"""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from tasks.study_trials import State, TrialRecord
from tasks.tracking import Status, Tracking
from tasks.tracking_content import PARENT, Point, benchmark_tags
from tasks.tracking_places import FlowRunRef

VALUE, BEST = "tune.value", "tune.best_value"
_ENDS: dict[State, Status] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "interrupted": "KILLED",
    "failed": "FAILED",
}


class StudyRuns:
    """The runs of one study."""

    def __init__(self, tracking: Tracking, uid: str, name: str) -> None:
        """Name the study.

        Args:
            tracking: Where its runs are.
            uid: Its identity, which a study of the same name in another place does not have.
            name: What its run is called.
        """
        self._tracking, self._uid, self._name = tracking, uid, name
        self.run = ""

    def start(self, flow_run: FlowRunRef, parameters: BaseModel | Mapping[str, object]) -> str:
        """Return the study's run, running; every flow run that works on it goes on with it.

        Raises:
            SaneError: MLflow failed.
        """
        identity = {"sane.study": self._uid}
        tags = benchmark_tags(flow_run) | {"sane.kind": "study"}
        self.run = self._tracking.open_run(self._name, identity, tags, parameters)
        return self.run

    def trial(self, number: int, params: Mapping[str, object]) -> str:
        """Return the run of a trial that begins; its parameters are what was chosen.

        Raises:
            SaneError: MLflow failed.
        """
        identity = {PARENT: self.run, "sane.trial": str(number)}
        tags = {"sane.kind": "trial", "mlflow.source.name": "sane", "sane.trial.state": "running"}
        return self._tracking.open_run(f"trial {number}", identity, tags, params)

    def settle(self, records: Iterable[TrialRecord]) -> None:
        """End the runs of trials that have ended, and draw the values of the complete ones.

        Raises:
            SaneError: MLflow failed.
        """
        ended = {str(record.number): record for record in records if record.state in _ENDS}
        for run, tags in self._tracking.running_children(self.run).items():
            if record := ended.get(tags.get("sane.trial", "")):
                self._end(run, record)
        values = [(r.number, r.value) for r in ended.values() if r.value is not None]
        self._tracking.log_points(self.run, [Point(VALUE, n, value) for n, value in values])

    def _end(self, run: str, record: TrialRecord) -> None:
        tags = {"sane.trial.state": record.state, "sane.trial.note": record.note}
        metrics = {} if record.value is None else {VALUE: record.value}
        self._tracking.add(run, metrics, tags)
        for stage in self._tracking.running_children(run):  # of a process that was killed
            self._tracking.finish(stage, "KILLED")
        self._tracking.finish(run, _ENDS[record.state])

    def conclude(self, records: Iterable[TrialRecord], best: TrialRecord | None) -> None:
        """Say on the study's run how it stands.

        Raises:
            SaneError: MLflow failed.
        """
        states = [record.state for record in records]
        metrics = {f"tune.trials.{state}": float(states.count(state)) for state in _ENDS}
        tags = {}
        if best and best.value is not None:
            metrics[BEST] = best.value
            tags = {"sane.trial.best": str(best.number)}
        self._tracking.add(self.run, metrics, tags)
