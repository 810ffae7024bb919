"""A study of Optuna, in a database of its own; Optuna is imported in `tasks/study*.py` only.

A study outlives its processes. Each trial carries who runs it, so that one whose process is gone
is noticed by the next: it is given up, and its values are tried again, which goes on with what it
has trained. What trial `n` tries depends on the seed, on `n` and on the trials before it, never on
how often the command was stopped.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sane_core.seeding import seed_for
from schemas.config.tune import PrunerConfig
from schemas.errors import SaneError, UserError
from tasks.locks import file_lock
from tasks.study_space import Dimension, Params, distributions
from tasks.study_trials import Trial, TrialRecord, give_up, is_left, record_of

if TYPE_CHECKING:
    import optuna

_IDENTITY = "identity"
_PATIENCE = 60.0  # seconds that another process may hold the database


class Study:
    """What was tried, and what is to be tried next; processes may share it."""

    def __init__(
        self,
        name: str,
        storage: str,
        lock: Path,
        identity: Mapping[str, object],
        space: Mapping[str, Dimension],
        *,
        maximize: bool,
        seed: int,
        pruner: PrunerConfig,
        first: Params | None = None,
    ) -> None:
        """Open a study, or begin it.

        Args:
            name: Of the study.
            storage: SQLAlchemy URL.
            lock: File whose lock keeps the processes of this machine apart.
            identity: What a study cannot change: a mapping of names to JSON values.
            space: The kind of every key's values.
            maximize: Whether larger is better.
            seed: Of the sampler.
            pruner: When a trial is stopped.
            first: What is tried first; the sampler chooses if None.

        Raises:
            UserError: Optuna is not installed, the storage cannot be opened, or the study is there
                with another identity.
        """
        check_installed()
        self.name, self._lock, self._space, self._seed = name, lock, space, seed
        with file_lock(lock), _opening(storage):
            self._study = _open(name, storage, maximize, pruner)
            there = self._study.user_attrs.get(_IDENTITY)
            if there is None:
                there = {"uid": uuid4().hex, "is": json.loads(json.dumps(identity))}
                self._study.set_user_attr(_IDENTITY, there)
                if first is not None:
                    self._study.enqueue_trial(dict(first))
        self.uid = str(there["uid"])
        _check_identity(name, there["is"], json.loads(json.dumps(identity)))

    def next(self, trials: int) -> Trial | None:
        """Begin a trial; None, if as many as wanted have ended or are running.

        Trials whose process is gone are given up first, and tried again before anything else.
        """
        import optuna

        with file_lock(self._lock):
            self._give_up_stale()
            counted = [r for r in self.records() if r.state not in ("interrupted", "waiting")]
            if len(counted) >= trials:
                return None
            number = len(self._study.get_trials(deepcopy=False))
            seed = seed_for(self._seed, "trial", number) % 2**32
            self._study.sampler = optuna.samplers.TPESampler(seed=seed)
            return Trial(self._study, self._study.ask(distributions(self._space)))

    def records(self) -> list[TrialRecord]:
        """Return every trial, in order."""
        return [record_of(trial) for trial in self._study.get_trials(deepcopy=False)]

    def was_pruned(self, trial: Trial) -> bool:
        """Return whether the same values were stopped before; the sampler may draw them again."""
        return any(r.state == "pruned" and r.params == trial.params for r in self.records())

    def best(self) -> TrialRecord | None:
        """Return the best complete trial, the earliest of equals."""
        from optuna.study import StudyDirection

        complete = [record for record in self.records() if record.value is not None]
        sign = -1 if self._study.direction == StudyDirection.MAXIMIZE else 1
        return min(complete, key=lambda r: sign * (r.value or 0.0), default=None)

    def importances(self) -> dict[str, float]:
        """Return the share of each key in the variation of the objective (fANOVA)."""
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = FanovaImportanceEvaluator(seed=self._seed)
            return dict(get_param_importances(self._study, evaluator=evaluator))

    def _give_up_stale(self) -> None:
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_left(trial):
                give_up(self._study, trial.number)


def check_installed() -> None:
    """Raise unless Optuna can be imported.

    Raises:
        UserError: It cannot, with what to install.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "sane tune needs optuna, which is not installed: "
            "pip install --constraint constraints.txt '.[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _open(name: str, storage: str, maximize: bool, pruner: PrunerConfig) -> "optuna.Study":
    import optuna

    arguments = {"timeout": _PATIENCE} if storage.startswith("sqlite") else {}
    database = optuna.storages.RDBStorage(storage, engine_kwargs={"connect_args": arguments})
    return optuna.create_study(
        study_name=name,
        storage=database,
        direction="maximize" if maximize else "minimize",
        load_if_exists=True,
        pruner=optuna.pruners.NopPruner()
        if pruner.kind == "none"
        else optuna.pruners.MedianPruner(pruner.startup_trials, pruner.warmup_epochs),
    )


@contextmanager
def _opening(storage: str) -> Iterator[None]:
    try:
        yield
    except SaneError:
        raise
    # Databases, drivers and addresses: each has exceptions of its own.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise UserError(
            f"storage {storage} cannot be opened ({reason}); correct `storage`"
        ) from error


def _check_identity(name: str, was: Mapping[str, object], given: Mapping[str, object]) -> None:
    changed = [part for part in was if was[part] != given.get(part)]
    if changed:
        part = changed[0]
        raise UserError(
            f"study {name} was begun with another {part} ({_short(was[part])}, got "
            f"{_short(given.get(part))}): values would not compare; choose another `study`"
        )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:197] + "..."
