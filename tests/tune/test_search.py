"""A search finds the best values, shows every trial, and does nothing twice."""

from pathlib import Path

import pytest
import yaml

import flows.tune
from flows.configuration import load_configuration
from schemas.errors import DiskFull, SaneError, UserError
from tasks.study_trials import TrialRecord
from tasks.tracking import Tracking
from tasks.tracking_places import FlowRunRef
from tasks.tracking_study import StudyRuns
from tests.tune import toy

NO_PRUNER = {"kind": "none"}


def test_the_best_trial_is_found_and_its_configuration_runs(spot, search) -> None:
    best = Path(search(spot.config(trials=4, pruner=NO_PRUNER)))

    config = load_configuration(best)
    rates = {rate for rate, _ in spot.trained}
    assert config.pretrain.learning_rate == min(rates, key=lambda rate: abs(rate - toy.BEST_RATE))
    assert config.experiments == ("probe", "generate")
    assert config.store == str(spot.folder / "store")
    assert config.out is None
    assert {path.name for path in best.parent.iterdir()} == {
        "best.yaml",
        "study.html",
        "history.png",
        "slices.png",
    }


def test_the_benchmark_as_written_is_tried_first(spot, search) -> None:
    search(spot.config(trials=1))
    assert spot.trained[0][0] == 0.001


def test_every_trial_is_a_run_below_the_study_with_its_stage_below_it(spot, search) -> None:
    search(spot.config(trials=2))

    (study,), trials, stages = spot.kind("study"), spot.kind("trial"), spot.kind("stage")
    assert {t.data.tags["mlflow.parentRunId"] for t in trials} == {study.info.run_id}
    assert {run.info.status for run in [study, *trials, *stages]} == {"FINISHED"}
    assert [set(t.data.params) for t in trials] == [{"pretrain.learning_rate"}] * 2
    for trial in trials:
        rate = float(trial.data.params["pretrain.learning_rate"])
        assert trial.data.metrics["tune.value"] == pytest.approx(toy.loss(rate, 2, 2))
        assert trial.data.tags["sane.trial.state"] == "complete"
    trained = {stage.data.tags["mlflow.parentRunId"] for stage in stages}
    assert trained <= {trial.info.run_id for trial in trials}
    assert study.data.metrics["tune.trials.complete"] == 2
    assert study.data.metrics["tune.best_value"] == min(
        trial.data.metrics["tune.value"] for trial in trials
    )


def test_a_trial_that_is_worse_than_others_is_stopped_at_that_epoch(spot, search) -> None:
    space = {"pretrain.learning_rate": {"choices": [0.004, 0.3]}}
    pruner = {"kind": "median", "startup_trials": 1, "warmup_epochs": 0}
    benchmark = spot.config().benchmark
    pretrain = benchmark.pretrain.model_copy(update={"epochs": 4, "learning_rate": 0.004})
    benchmark = benchmark.model_copy(update={"pretrain": pretrain})
    search(spot.config(benchmark=benchmark, space=space, pruner=pruner, trials=4))

    assert (0.3, 1) in spot.trained
    assert (0.3, 2) not in spot.trained
    pruned = [t for t in spot.kind("trial") if t.data.tags["sane.trial.state"] == "pruned"]
    assert pruned
    assert {trial.info.status for trial in pruned} == {"KILLED"}
    below = {trial.info.run_id for trial in pruned}
    stages = [s for s in spot.kind("stage") if s.data.tags["mlflow.parentRunId"] in below]
    assert {stage.info.status for stage in stages} == {"KILLED"}
    assert all("pretrain.train_loss" in stage.data.metrics for stage in stages), "it was watched"


def test_without_a_pruner_every_trial_is_trained_to_its_end(spot, search) -> None:
    space = {"pretrain.learning_rate": {"choices": [0.004, 0.3]}}
    search(spot.config(space=space, pruner=NO_PRUNER, trials=3))
    assert all((rate, 2) in spot.trained for rate, _ in spot.trained)


def test_the_same_command_again_trains_nothing_and_opens_no_run(spot, search) -> None:
    search(spot.config(trials=2))
    trained, runs = spot.trained, len(spot.runs)

    search(spot.config(trials=2))

    assert spot.trained == trained
    assert len(spot.runs) == runs


def test_more_trials_go_on_where_the_search_ended(spot, search) -> None:
    search(spot.config(trials=1))
    search(spot.config(trials=3))
    numbers = [run.data.tags["sane.trial"] for run in spot.kind("trial")]
    assert numbers == ["0", "1", "2"]
    assert len(spot.kind("study")) == 1


def test_an_interrupted_trial_is_tried_again_and_goes_on_with_what_it_trained(
    spot, search, monkeypatch
) -> None:
    ordinary = toy.epoch_done

    def interrupt(record: dict[str, float]) -> None:
        ordinary(record)
        raise KeyboardInterrupt

    monkeypatch.setattr(toy, "epoch_done", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(spot.config(trials=1))
    monkeypatch.setattr(toy, "epoch_done", ordinary)

    search(spot.config(trials=1))

    assert spot.trained == [(0.001, 1), (0.001, 2)]
    first, second = spot.kind("trial")
    assert (first.info.status, second.info.status) == ("KILLED", "FINISHED")
    assert first.data.params == second.data.params
    assert first.data.tags["sane.trial.state"] == "interrupted"


def test_stages_of_a_trial_that_was_killed_do_not_run_on(spot) -> None:
    tracking = Tracking(spot.tracking)
    runs = StudyRuns(tracking, "uid", "toy")
    runs.start(FlowRunRef(id="flow", url=None), {})
    left, at_work = (runs.trial(number, {}) for number in range(2))
    for trial in (left, at_work):
        tracking.open_stage(trial, "model", "digits", f"key of {trial}")
    runs.settle([TrialRecord(0, "interrupted", None, {}), TrialRecord(1, "running", None, {})])
    of_trial = {run.data.tags["mlflow.parentRunId"]: run for run in spot.kind("stage")}
    assert (of_trial[left].info.status, of_trial[at_work].info.status) == ("KILLED", "RUNNING")


def test_values_that_fail_are_recorded_and_the_search_goes_on(spot, search) -> None:
    space = {"pretrain.learning_rate": {"choices": [0.001, 1.0]}}
    search(spot.config(space=space, trials=4))
    states = {
        trial.data.params["pretrain.learning_rate"]: trial.data.tags["sane.trial.state"]
        for trial in spot.kind("trial")
    }
    assert states["0.001"] == "complete"
    assert set(states.values()) <= {"complete", "failed"}


def test_a_search_whose_trials_all_fail_ends_with_the_reason(spot, search) -> None:
    space = {"pretrain.learning_rate": {"choices": [1.0, 1.5, 2.0, 2.5, 3.0]}}
    with pytest.raises(SaneError, match="3 trials of study toy failed in turn.*stay finite"):
        search(spot.config(space=space, trials=9))
    assert [trial.info.status for trial in spot.kind("trial")] == ["FAILED"] * 3
    assert {stage.info.status for stage in spot.kind("stage")} == {"FAILED"}


def test_a_full_disk_ends_the_search_and_costs_no_trial(spot, search, monkeypatch) -> None:
    def full(*_: object) -> float:
        raise DiskFull("no space left in the store")

    with monkeypatch.context() as patch:
        patch.setattr(flows.tune, "measure", full)
        with pytest.raises(DiskFull):
            search(spot.config(trials=1))
    search(spot.config(trials=1))
    assert [run.info.status for run in spot.kind("trial")] == ["KILLED", "FINISHED"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"space": {"pretrain.learning_rate": {"choices": [0.1, 0.2]}}}, "space"),
        ({"objective": "validation_loss"}, "objective"),
    ],
)
def test_a_study_keeps_its_space_and_objective(spot, search, change, part: str) -> None:
    search(spot.config(trials=1))
    with pytest.raises(UserError, match=f"toy was begun with another {part} .*choose another"):
        search(spot.config(**change))


def test_a_study_keeps_what_its_trials_train_but_not_where(spot, search) -> None:
    search(spot.config(trials=1))
    benchmark = spot.config().benchmark
    search(spot.config(benchmark=benchmark.model_copy(update={"name": "other"}), trials=1))
    pretrain = benchmark.pretrain.model_copy(update={"epochs": 3})
    with pytest.raises(UserError, match="study toy was begun with another benchmark"):
        search(spot.config(benchmark=benchmark.model_copy(update={"pretrain": pretrain})))


def test_a_key_of_an_earlier_stage_prepares_every_trial_anew(spot, search, monkeypatch) -> None:
    prepared = []

    def prepare(session: object, config: object, target: object) -> object:
        prepared.append(config.windows.length)
        return toy.prepare(session, config, target)

    monkeypatch.setattr(flows.tune, "prepare", prepare)
    space = {"windows.length": {"choices": [8, 16]}}
    search(spot.config(space=space, trials=3))
    assert len(prepared) == 3
    assert set(prepared) <= {8, 16}


def test_best_yaml_names_the_trial(spot, search) -> None:
    text = Path(search(spot.config(trials=1))).read_text()
    assert text.startswith("# Trial 0 of study toy: validation_reconstruction 0.003.\n")
    assert yaml.safe_load(text)["name"] == "toy-best"
