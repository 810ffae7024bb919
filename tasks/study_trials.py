"""Trials of a study: the one that this process runs, those that stand, those left behind."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psutil

from tasks.live import Stopped
from tasks.study_space import Params

if TYPE_CHECKING:
    import optuna

State = Literal["complete", "pruned", "failed", "interrupted", "running", "waiting"]

_OWNER, _NOTE, _INTERRUPTED = "owner", "note", "interrupted"


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands.

    Attributes:
        number: From 0, in the order they were begun.
        state: `failed` for a trial that ended by an error of its own, `interrupted` for one whose
            process was ended and whose values are tried again.
        value: Of the objective; None unless the trial is complete.
        params: What was tried.
        note: Why it failed.
    """

    number: int
    state: State
    value: float | None
    params: Params
    note: str = ""


class Trial:
    """A trial that this process runs; `complete`, `prune`, `fail` or `interrupt` ends it."""

    def __init__(self, study: "optuna.Study", trial: "optuna.Trial") -> None:
        self.number, self.params = trial.number, dict(trial.params)
        self._study, self._trial = study, trial
        trial.set_user_attr(_OWNER, _this_process())
        self._reported: set[int] = set()

    def report(self, epoch: int, value: float, last: bool = False) -> None:
        """Say how good the trial is after an epoch; a resumed one may say it again.

        Args:
            epoch: From 1.
            value: How good it is.
            last: Whether the training is over, so that there is nothing to stop.

        Raises:
            Stopped: Trials before it were better at this epoch.
        """
        if epoch in self._reported:
            return
        self._reported.add(epoch)
        self._trial.report(value, epoch)
        if not last and self._trial.should_prune():
            raise Stopped(f"trial {self.number} was pruned at epoch {epoch}")

    def complete(self, value: float) -> None:
        """Record the objective."""
        self._study.tell(self._trial, value)

    def prune(self) -> None:
        """Record that the trial was stopped early."""
        from optuna.trial import TrialState

        self._study.tell(self._trial, state=TrialState.PRUNED)

    def fail(self, note: str) -> None:
        """Record that these values do not work, and why."""
        from optuna.trial import TrialState

        self._trial.set_user_attr(_NOTE, note)
        self._study.tell(self._trial, state=TrialState.FAIL)

    def interrupt(self) -> None:
        """Give the trial up, and queue its values."""
        give_up(self._study, self.number)


def give_up(study: "optuna.Study", number: int) -> None:
    """End a trial as interrupted, and queue its values."""
    from optuna.trial import TrialState

    trial = study.get_trials(deepcopy=False)[number]
    if trial.state.is_finished():
        return
    study._storage.set_trial_user_attr(trial._trial_id, _INTERRUPTED, True)
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    if trial.params:
        study.enqueue_trial(trial.params)


def record_of(trial: "optuna.trial.FrozenTrial") -> TrialRecord:
    """Return a trial as it stands."""
    states: dict[str, State] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "FAIL": "interrupted" if trial.user_attrs.get(_INTERRUPTED) else "failed",
        "RUNNING": "running",
        "WAITING": "waiting",
    }
    state = states[trial.state.name]
    value = trial.value if state == "complete" else None
    note = str(trial.user_attrs.get(_NOTE, ""))
    return TrialRecord(trial.number, state, value, dict(trial.params), note)


def is_left(trial: "optuna.trial.FrozenTrial") -> bool:
    """Return whether the process that runs a trial is gone, as far as it can be seen from here."""
    return not _is_alive(trial.user_attrs.get(_OWNER))


def _this_process() -> dict[str, object]:
    began = psutil.Process().create_time()
    return {"host": platform.node(), "pid": os.getpid(), "began": began}


def _is_alive(owner: Mapping[str, object] | None) -> bool:
    if owner is None:
        return False
    if owner["host"] != platform.node():
        return True
    try:
        process = psutil.Process(int(str(owner["pid"])))
        same = abs(process.create_time() - float(str(owner["began"]))) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
