"""A study outlives its processes: what one leaves unfinished, the next one finishes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.config.tune import PrunerConfig
from tasks.live import Stopped
from tasks.study import Study
from tasks.study_space import Choices, Floats, Integers

SPACE = {
    "rate": Floats(1e-4, 1e-1, True),
    "layers": Integers(1, 4, False),
    "kind": Choices((None, "a")),
}
# Begins a trial, says so, and is killed in its middle.
SCRIPT = """
import sys, time
from tests.tune.test_study import open_study
from pathlib import Path
trial = open_study(Path(sys.argv[1])).next(9)
trial.report(1, 0.5)
print(trial.number, flush=True)
time.sleep(600)
"""
ROOT = Path(__file__).resolve().parents[2]


def open_study(folder: Path, **changes: object) -> Study:
    settings: dict[str, object] = {
        "identity": {"objective": "loss"},
        "space": SPACE,
        "maximize": False,
        "seed": 0,
        "pruner": PrunerConfig(kind="none"),
    }
    return Study("small", f"sqlite:///{folder}/study.db", folder / "lock", **settings | changes)


def states(study: Study) -> list[str]:
    return [record.state for record in study.records()]


def begun(folder: Path) -> "subprocess.Popen[str]":
    """Return a process that runs a trial."""
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline().strip().isdecimal()
    return process


def test_a_trial_whose_process_was_killed_is_given_up_and_its_values_tried_again(
    tmp_path: Path,
) -> None:
    process = begun(tmp_path)
    study = open_study(tmp_path)
    other = study.next(9)
    assert states(study) == ["running", "running"], "the process is at it"
    process.kill()
    assert process.wait() == -signal.SIGKILL

    again = study.next(9)

    assert other and again
    left, *_ = study.records()
    assert left.state == "interrupted"
    assert again.params == left.params != other.params
    assert states(study) == ["interrupted", "running", "running"]


def test_processes_share_the_number_of_trials(tmp_path: Path) -> None:
    process = begun(tmp_path)
    try:
        study = open_study(tmp_path)
        assert study.next(1) is None
        assert study.next(2) is not None
        assert study.next(2) is None
    finally:
        process.kill()
        process.wait()
    assert study.next(2) is not None, "what was left is to be done again"


def test_interruptions_change_nothing_of_what_is_tried(tmp_path: Path) -> None:
    tried = []
    for name in ("undisturbed", "interrupted"):
        (tmp_path / name).mkdir()
        study = open_study(tmp_path / name)
        for step in range(3):
            if name == "interrupted":
                study = open_study(tmp_path / name)
            trial = study.next(9)
            trial.complete(float(step))
        tried.append([record.params for record in study.records()])
    assert tried[0] == tried[1]
    assert len({str(params) for params in tried[0]}) == 3


def test_another_seed_tries_other_values(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = open_study(tmp_path).next(1)
    assert first.params != open_study(tmp_path / "other", seed=1).next(1).params


@pytest.mark.parametrize("maximize", [False, True])
def test_the_best_is_the_first_of_the_best_complete_trials(tmp_path, maximize: bool) -> None:
    study = open_study(tmp_path, maximize=maximize)
    assert study.best() is None
    for value in (2.0, 1.0, 3.0, 3.0, 1.0):
        study.next(9).complete(value)
    study.next(9).fail("the loss must stay finite")
    study.next(9).prune()
    assert study.best().number == (2 if maximize else 1)
    assert states(study)[-2:] == ["failed", "pruned"]
    assert study.records()[5].note == "the loss must stay finite"


def test_a_median_pruner_stops_the_worse_half_after_the_warm_up(tmp_path: Path) -> None:
    pruner = PrunerConfig(kind="median", startup_trials=2, warmup_epochs=2)
    study = open_study(tmp_path, pruner=pruner)
    for value in (1.0, 2.0):
        trial = study.next(9)
        for epoch in (1, 2, 3):
            trial.report(epoch, value)
        trial.complete(value)

    bad = study.next(9)
    bad.report(1, 5.0)
    with pytest.raises(Stopped, match="trial 2 was pruned at epoch 2"):
        bad.report(2, 5.0)
    bad.prune()
    good = study.next(9)
    for epoch in (1, 2, 3):
        good.report(epoch, 0.5)


def test_an_epoch_that_is_told_again_counts_once(tmp_path: Path) -> None:
    trial = open_study(tmp_path).next(1)
    trial.report(1, 0.5)
    trial.report(1, 9.0)
    (stored,) = trial._study.get_trials()
    assert stored.intermediate_values == {1: 0.5}


def test_importances_name_what_the_objective_depends_on(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    for _ in range(10):
        trial = study.next(10)
        trial.complete(float(trial.params["layers"]))
    shares = study.importances()
    assert max(shares, key=shares.__getitem__) == "layers"
    assert sum(shares.values()) == pytest.approx(1)
