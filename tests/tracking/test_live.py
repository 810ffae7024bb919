"""A stage's curves grow in its own run while it trains, and no point of them is there twice."""

from collections.abc import Mapping
from contextvars import copy_context
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from schemas.errors import SaneError
from tasks.live import Stopped, epoch_done, watching
from tasks.tracking import Tracking
from tasks.tracking_live import LiveStage, history, points

KEY = "4" * 32
LOSS = "pretrain.validation_loss"


def epochs(*numbers: int) -> list[dict[str, float]]:
    return [{"epoch": n, "validation_loss": 1 / n, "learning_rate": 0.1 * n} for n in numbers]


def curve(client: MlflowClient, run: str, metric: str = LOSS) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run, metric))


def children(tracking: Tracking, client: MlflowClient, parent: str) -> list:
    experiment = tracking.link(parent).experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


def refuse(message: str) -> None:
    raise AssertionError(message)


def live(tracking: Tracking, run: str) -> LiveStage:
    return LiveStage(tracking, run, "model", KEY, refuse)


@pytest.fixture
def model(stage):
    """What the store gives for a trained model: its best epoch is the second of three."""
    return stage(KEY, kind="model", stage="model", metrics={LOSS: 0.5, "pretrain.parameters": 9})


def test_watchers_are_told_of_every_epoch_the_innermost_first() -> None:
    told: list[tuple[str, float]] = []
    with watching(lambda record: told.append(("outer", record["epoch"]))):
        with watching(lambda record: told.append(("inner", record["epoch"]))):
            epoch_done({"epoch": 1})
        epoch_done({"epoch": 2})
    epoch_done({"epoch": 3})
    assert told == [("inner", 1), ("outer", 1), ("outer", 2)]


def test_what_a_watcher_raises_ends_the_stage_and_its_watching() -> None:
    def stop(record: Mapping[str, float]) -> None:
        raise Stopped(f"seen enough at epoch {record['epoch']}")

    with pytest.raises(Stopped, match="epoch 1"), watching(stop):
        epoch_done({"epoch": 1})
    epoch_done({"epoch": 2})


def test_a_thread_tells_the_watchers_of_its_context_only() -> None:
    told: list[float] = []
    with watching(lambda record: told.append(record["epoch"])):
        for run in (copy_context().run, lambda call, *given: call(*given)):
            thread = Thread(target=run, args=(epoch_done, {"epoch": len(told) + 1}))
            thread.start()
            thread.join()
    assert told == [1]


def test_a_running_stage_shows_each_epoch_at_once(tracking, client) -> None:
    parent = tracking.start("quickstart", None, {})
    run = tracking.open_stage(parent, "model", "digits-cnn", KEY)
    shown = live(tracking, run)

    for number, record in enumerate(epochs(1, 2), start=1):
        shown.on_epoch(record)
        assert len(curve(client, run)) == number

    there = client.get_run(run)
    assert there.info.status == "RUNNING"
    assert there.info.run_name == "digits-cnn.model"
    assert (there.data.tags["mlflow.parentRunId"], there.data.tags["sane.key"]) == (parent, KEY)
    assert curve(client, run, "pretrain.learning_rate") == [(1, 0.1), (2, 0.2)]


def test_the_run_that_was_watched_becomes_that_of_the_artifact(tracking, client, model) -> None:
    parent = tracking.start("quickstart", None, {})
    run = tracking.open_stage(parent, "model", "digits-cnn", KEY)
    for record in epochs(1, 2):
        live(tracking, run).on_epoch(record)

    def all_epochs():
        return [point for record in epochs(1, 2, 3) for point in points("model", record)]

    recorded = tracking.record_stage(
        parent, "model", "digits-cnn", *model, cached=False, curves=all_epochs
    )

    assert recorded == run
    assert [child.info.run_id for child in children(tracking, client, parent)] == [run]
    assert curve(client, run) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    there = client.get_run(run)
    assert there.info.status == "FINISHED"
    assert there.data.tags["sane.artifact"] == model[0].digest
    assert there.data.metrics[f"best.{LOSS}"] == 0.5
    assert there.data.metrics["pretrain.parameters"] == 9
    assert client.get_run(parent).data.metrics[LOSS] == 0.5


def test_an_artifact_that_nobody_watched_has_the_same_curves(tracking, client, model) -> None:
    parent = tracking.start("quickstart", None, {})

    run = tracking.record_stage(
        parent,
        "model",
        "digits-cnn",
        *model,
        cached=True,
        curves=lambda: [p for record in epochs(1, 2, 3) for p in points("model", record)],
    )

    assert curve(client, run) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_epochs_that_are_told_again_are_not_doubled(tracking, client) -> None:
    parent = tracking.start("quickstart", None, {})
    run = tracking.open_stage(parent, "model", "digits-cnn", KEY)
    for record in epochs(1, 2):
        live(tracking, run).on_epoch(record)
    tracking.finish(run, "FAILED")

    again = tracking.open_stage(parent, "model", "digits-cnn", KEY)
    for record in epochs(1, 2, 3):
        live(tracking, again).on_epoch(record)

    assert again == run
    assert client.get_run(run).info.status == "RUNNING"
    assert curve(client, run) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_what_a_killed_run_left_running_is_ended_by_the_next(tracking, client) -> None:
    killed = tracking.start("quickstart", None, {})
    left = tracking.open_stage(killed, "model", "digits-cnn", KEY)
    other = tracking.open_stage(killed, "model", "digits-cnn", "5" * 32)
    parent = tracking.start("quickstart", None, {})
    run = tracking.open_stage(parent, "model", "digits-cnn", KEY)
    assert run != left

    live(tracking, run).on_epoch(epochs(1)[0])

    assert client.get_run(left).info.status == "KILLED"
    assert client.get_run(other).info.status == "RUNNING", "another stage's is left alone"


def test_a_child_is_taken_back_if_another_run_made_the_artifact(tracking, client, model) -> None:
    waited = tracking.start("quickstart", None, {})
    tracking.open_stage(waited, "model", "digits-cnn", KEY)
    parent = tracking.start("quickstart", None, {})
    tracking.record_stage(parent, "model", "digits-cnn", *model, cached=False)

    recorded = tracking.record_stage(waited, "model", "digits-cnn", *model, cached=False)

    assert recorded is None
    assert children(tracking, client, waited) == []


def test_what_is_no_finite_number_has_no_point(tracking, client) -> None:
    parent = tracking.start("quickstart", None, {})
    run = tracking.open_stage(parent, "model", None, KEY)
    odd = {"gradient_norm": float("inf"), "sets": [0.1], "note": "x", "skipped": None}

    live(tracking, run).on_epoch({"epoch": 1, "validation_loss": 2.0, **odd})

    assert client.get_run(run).data.metrics == {LOSS: 2.0}


def test_where_mlflow_fails_training_goes_on_and_it_is_said_once(tracking) -> None:
    said: list[str] = []
    shown = LiveStage(tracking, "0" * 32, "model", KEY, said.append)

    for record in epochs(1, 2):
        shown.on_epoch(record)

    (message,) = said
    assert "could not be recorded" in message
    assert message.endswith("the curves are completed when the stage is done")
    with pytest.raises(SaneError):
        tracking.log_points("0" * 32, points("model", epochs(1)[0]))


def test_the_history_of_an_artifact_gives_the_points_of_its_epochs(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(epochs(1, 2)), tmp_path / "history.parquet")

    told = [point for record in epochs(1, 2) for point in points("model", record)]

    assert history("model", tmp_path) == told
    assert history("probes", tmp_path) == []
    assert history("model", tmp_path / "elsewhere") == []
