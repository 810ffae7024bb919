"""A run per flow run, a child per stage, and nothing twice."""

from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.tracking import MlflowClient

from schemas.config.benchmark import BenchmarkConfig
from schemas.errors import SaneError
from tasks.tracking import Tracking
from tasks.tracking_places import FlowRunRef

ACCURACY = "probe.r2.test_accuracy.sane_mean"


def children(tracking: Tracking, client: MlflowClient, parent: str) -> list:
    experiment = tracking.link(parent).experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


def history(client: MlflowClient, run: str, metric: str) -> list[float]:
    return [point.value for point in client.get_metric_history(run, metric)]


def flow_run() -> FlowRunRef:
    identity = str(uuid4())
    return FlowRunRef(id=identity, url=f"http://127.0.0.1:4200/runs/flow-run/{identity}")


def test_a_retried_flow_run_continues_its_run(tracking, client) -> None:
    flow = flow_run()
    first = tracking.start("quickstart", flow, {"seed": 1})
    tracking.finish(first, "FAILED")

    second = tracking.start("quickstart", flow, {"seed": 1})

    assert second == first
    assert client.get_run(first).info.status == "RUNNING"
    assert tracking.start("quickstart", flow_run(), {"seed": 1}) != first


def test_without_a_flow_run_every_start_is_a_new_run(tracking) -> None:
    assert tracking.start("a", None, {}) != tracking.start("a", None, {})


def test_the_run_links_back_to_its_flow_run(tracking, client) -> None:
    flow = flow_run()
    run = tracking.start("quickstart", flow, {})

    tags = client.get_run(run).data.tags

    assert tags["prefect.flow_run_id"] == flow.id
    assert tags["prefect.flow_run_url"] == flow.url
    assert flow.url in tags["mlflow.note.content"]


def test_parameters_of_a_benchmark_are_flat(tracking, client) -> None:
    run = tracking.start("quickstart", None, BenchmarkConfig(seed=7))

    parameters = client.get_run(run).data.params

    assert parameters["seed"] == "7"
    assert parameters["zoos.0.name"] == "digits-cnn"
    assert parameters["tracking.experiment"] == "sane"
    assert parameters["experiments"] == '["probe", "generate"]'
    assert parameters["out"] == "null"


def test_more_parameters_than_one_request_takes_are_all_logged(tracking, client) -> None:
    run = tracking.start("wide", None, {f"p{n}": n for n in range(230)})

    assert len(client.get_run(run).data.params) == 230


def test_a_stage_is_a_finished_child_with_its_origin(tracking, client, stage) -> None:
    parent = tracking.start("quickstart", None, {})
    artifact, manifest = stage()

    child = client.get_run(
        tracking.record_stage(parent, "probe", "digits-cnn", artifact, manifest, cached=False)
    )

    assert child.info.status == "FINISHED"
    assert child.info.run_name == "digits-cnn.probe"
    assert abs(child.info.end_time - child.info.start_time - 12_500) < 5_000
    wanted = {
        "mlflow.parentRunId": parent,
        "sane.artifact": "d" * 64,
        "sane.key": "0" * 32,
        "sane.stage": "probe",
        "sane.zoo": "digits-cnn",
        "fact.windows.reader": "ffcv",
        "input.tokens": "1" * 64,
    }
    assert wanted.items() <= child.data.tags.items()
    assert child.data.params == {
        "seed": "3",
        "ridge.penalties": "[0.1, 1.0]",
        "targets": '["epoch"]',
    }
    assert child.data.metrics == {**manifest.metrics, "seconds": 12.5}


def test_recording_twice_opens_no_second_child_and_doubles_no_history(
    tracking, client, stage
) -> None:
    parent = tracking.start("quickstart", None, {})
    artifact, manifest = stage()
    child = tracking.record_stage(parent, "probe", "digits-cnn", artifact, manifest, cached=False)

    again = tracking.record_stage(parent, "probe", "digits-cnn", artifact, manifest, cached=True)

    assert again is None
    assert len(children(tracking, client, parent)) == 1
    for run in (parent, child):
        assert history(client, run, ACCURACY) == [0.94]
    assert history(client, parent, "seconds.probe") == [12.5]
    assert "cached.digits-cnn.probe" not in client.get_run(parent).data.tags


def test_a_measurement_that_changed_is_no_duplicate(tracking, client, stage) -> None:
    parent = tracking.start("quickstart", None, {})
    tracking.record_stage(parent, "probe", "digits-cnn", *stage(), cached=False)

    rebuilt = stage(key="1" * 32, metrics={ACCURACY: 0.95})
    tracking.record_stage(parent, "probe", "digits-cnn", *rebuilt, cached=False)

    assert history(client, parent, ACCURACY) == [0.94, 0.95]
    assert client.get_run(parent).data.metrics[ACCURACY] == 0.95


def test_a_cache_hit_logs_the_stored_metrics_to_the_benchmark_only(tracking, client, stage) -> None:
    first = tracking.start("quickstart", None, {})
    child = tracking.record_stage(first, "probe", "digits-cnn", *stage(), cached=False)

    second = tracking.start("quickstart", None, {})
    opened = tracking.record_stage(second, "probe", "digits-cnn", *stage(), cached=True)

    assert opened is None
    assert children(tracking, client, second) == []
    tags = client.get_run(second).data.tags
    assert tags["cached.digits-cnn.probe"] == "true"
    assert tags["run.digits-cnn.probe"] == child
    assert client.get_run(second).data.metrics == client.get_run(first).data.metrics


def test_a_warm_store_fills_a_new_experiment(tracking, client, stage) -> None:
    parent = tracking.start("quickstart", None, {})

    child = tracking.record_stage(parent, "probe", "digits-cnn", *stage(), cached=True)

    assert client.get_run(child).data.metrics[ACCURACY] == 0.94
    assert client.get_run(parent).data.tags["cached.digits-cnn.probe"] == "true"


def test_a_child_that_a_killed_process_left_is_completed(tracking, client, stage) -> None:
    parent = tracking.start("quickstart", None, {})
    artifact, manifest = stage()
    left = client.create_run(
        tracking.link(parent).experiment_id,
        tags={
            "mlflow.parentRunId": parent,
            "sane.key": manifest.key,
            "sane.artifact": artifact.digest,
        },
    )

    child = tracking.record_stage(parent, "probe", "digits-cnn", artifact, manifest, cached=True)

    assert child == left.info.run_id
    assert client.get_run(child).info.status == "FINISHED"
    assert client.get_run(child).data.metrics[ACCURACY] == 0.94


def test_metrics_begin_with_the_zoo_only_where_there_are_several(config, client, stage) -> None:
    tracking = Tracking(config.model_copy(update={"experiment": "several"}), zoos=2)
    parent = tracking.start("full", None, {})

    child = tracking.record_stage(parent, "probe", "digits-cnn", *stage(), cached=False)
    tracking.record_stage(parent, "probe", "other", *stage(key="2" * 32), cached=False)
    tracking.record_stage(parent, "report", None, *stage(key="3" * 32, metrics={}), cached=False)

    assert set(client.get_run(parent).data.metrics) == {
        "digits-cnn.probe.r2.test_accuracy.sane_mean",
        "digits-cnn.probe.r2.epoch.sane_mean",
        "digits-cnn.seconds.probe",
        "other.probe.r2.test_accuracy.sane_mean",
        "other.probe.r2.epoch.sane_mean",
        "other.seconds.probe",
        "seconds.report",
    }
    assert ACCURACY in client.get_run(child).data.metrics


def test_runs_of_two_seeds_compare_by_the_same_names(tracking, client, stage) -> None:
    parents = []
    for seed, value in ((0, 0.94), (1, 0.93)):
        parents.append(tracking.start("quickstart", None, BenchmarkConfig(seed=seed)))
        made = stage(key=f"{seed}" * 32, metrics={ACCURACY: value})
        tracking.record_stage(parents[-1], "probe", "digits-cnn", *made, cached=False)

    first, second = (client.get_run(parent).data for parent in parents)

    assert set(first.metrics) == set(second.metrics)
    assert {name for name in first.params if first.params[name] != second.params[name]} == {"seed"}


def test_odd_names_and_values_are_logged_or_named(tracking, client, stage) -> None:
    metrics = {"front.h=0.05": 0.5, "front.h:0.05": 0.6, "a/../b": 1.0, "x" * 300: 2.0}
    broken = {"loss": float("nan"), "ratio": float("inf")}
    parent = tracking.start("odd\nname", None, {"long": "x" * 7000, "größe (px)": 1})

    made = stage(metrics=metrics | broken, facts={"note": "y" * 9000, "empty": ""})
    child = tracking.record_stage(parent, "probe", "digits-cnn", *made, cached=False)

    for run in (parent, child):
        data = client.get_run(run).data
        assert sorted(data.metrics.values()) == [0.5, 0.6, 1.0, 2.0, 12.5]
        assert data.tags["not_finite.loss"] == "nan"
        assert data.tags["not_finite.ratio"] == "inf"
    assert len(client.get_run(parent).data.params["long"]) == 6000
    assert len(client.get_run(child).data.tags["fact.note"]) == 8000


def test_files_lie_where_they_were_logged_to(tracking, client, tmp_path: Path) -> None:
    parent = tracking.start("quickstart", None, {})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "front.svg").write_text("<svg/>")
    (tmp_path / "report.html").write_text("first")
    tracking.log_files(parent, tmp_path / "report.html")
    (tmp_path / "report.html").write_text("second")

    tracking.log_files(parent, tmp_path / "report.html")
    tracking.log_files(parent, tmp_path / "figures", to="figures")

    assert [file.path for file in client.list_artifacts(parent)] == ["figures", "report.html"]
    report = client.download_artifacts(parent, "report.html", str(tmp_path / "figures"))
    assert Path(report).read_text() == "second"
    assert [file.path for file in client.list_artifacts(parent, "figures")] == ["figures/front.svg"]


def test_a_file_that_is_not_there_is_named(tracking, tmp_path: Path) -> None:
    with pytest.raises(SaneError, match=r"report\.html cannot be copied to MLflow: there is no"):
        tracking.log_files("0" * 32, tmp_path / "report.html")


def test_a_failure_of_mlflow_is_one_sentence(tracking, stage) -> None:
    with pytest.raises(SaneError) as failure:
        tracking.record_stage("0" * 32, "probe", "digits-cnn", *stage(), cached=False)

    message = str(failure.value)
    assert "stage digits-cnn.probe could not be recorded (" in message
    assert "0" * 32 in message
    assert "\n" not in message


def test_the_link_leads_to_the_run(tracking) -> None:
    run = tracking.start("quickstart", None, {})

    link = tracking.link(run)

    assert link.path == f"#/experiments/{link.experiment_id}/runs/{run}"
    assert link.url == f"http://127.0.0.1:5000/{link.path}?workflowType=machine_learning"
