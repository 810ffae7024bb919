"""`prefect deployment run sane/full-benchmark` runs to the end, through a server and a worker."""

import json
import re
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

NAME = "sane/full-benchmark"
ZOOS = ("digits-cnn", "digits-cnn-batch-16")
SHARDED = {"tokens.align", "tokens.statistics", "tokens.tokens", "windows.compile"}
"""Steps of the stage `tokens`, each of whose shards is a task too."""
STAGES = (
    "images",
    "zoo",
    "tokens",
    "windows",
    "model",
    "evaluation",
    "embeddings",
    "map",
    "probes",
    "generation",
    "report",
)
IMAGES = {"images": {"train": 200, "validation": 100, "test": 100}}
TINY: dict[str, Any] = {
    "name": "tiny",
    "zoos": [
        {"name": ZOOS[0], "members": 14, "epochs": 2, **IMAGES},
        {"name": ZOOS[1], "members": 14, "epochs": 2, "batch": 16, **IMAGES},
    ],
    "windows": {"length": 16, "epoch_step": 1, "views": 1, "reader": "numpy"},
    "pretrain": {
        "autoencoder": {"d_model": 16, "heads": 2, "layers": 1, "d_z": 8},
        "epochs": 1,
        "batch": 8,
    },
    "probe": {"bootstraps": 10},
    "generate": {
        "prompt_epoch": 2,
        "candidates": 6,
        "keep": 2,
        "samplers": [{"name": "sub", "sweep": [0.1]}, {"name": "boot"}],
        "noise_sizes": [0.1],
        "interpolations": [0.5],
        "seeds": 1,
        "finetune_epochs": [1],
    },
}

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def flow_run(deployed) -> dict[str, Any]:
    """The one flow run of the tiny benchmark, ended."""
    parameters = json.dumps({"config": TINY})
    done = deployed.prefect("deployment", "run", NAME, "--params", parameters, "--watch")
    assert done.returncode == 0, done.stdout + done.stderr + deployed.log("worker")
    (run,) = deployed.find("flow_runs", sort="START_TIME_ASC")
    return run


@pytest.fixture(scope="module")
def client(deployed, flow_run) -> MlflowClient:
    """MLflow, in the folder where the worker was started."""
    uri = f"sqlite:///{deployed.folder}/mlruns/mlflow.db"
    return MlflowClient(uri, uri)


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> list:
    """MLflow's runs, the benchmark's first."""
    experiment = client.get_experiment_by_name("sane").experiment_id
    return sorted(
        client.search_runs([experiment]), key=lambda run: run.data.tags["sane.kind"] != "benchmark"
    )


def test_it_completes_under_the_name_of_its_benchmark(flow_run) -> None:
    assert (flow_run["state_type"], flow_run["name"]) == ("COMPLETED", "tiny")


def test_every_stage_is_a_completed_task_named_by_its_zoo(deployed, flow_run) -> None:
    tasks = deployed.find("task_runs", flow_runs={"id": {"any_": [flow_run["id"]]}})
    names = {task["name"] for task in tasks}
    shards = {name for name in names if re.search(r"-\d{5}$", name)}
    assert names - shards == {f"{z}.{s}" for z in ZOOS for s in STAGES}
    assert {name[:-6] for name in shards} == SHARDED
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}


def test_the_report_lies_in_the_workers_folder(deployed, flow_run) -> None:
    out = deployed.folder / "runs" / "tiny"
    page = (out / "report.html").read_text()
    results = json.loads((out / "results.json").read_text())
    for zoo in ZOOS:
        assert zoo in page
        assert f"{zoo}.probe.r2.test_accuracy.sane_mean" in results
        assert f"{zoo}.generation.accuracy.sub.epoch0" in results


def test_the_artifact_links_the_report_and_the_tracked_run(deployed, flow_run, runs) -> None:
    (artifact,) = deployed.find("artifacts", artifacts={"key": {"any_": ["sane-tiny"]}})
    assert artifact["flow_run_id"] == flow_run["id"]
    link = f"/#/experiments/{runs[0].info.experiment_id}/runs/{runs[0].info.run_id}"
    assert f"{link}?" in artifact["data"]
    assert f"{link}/artifacts/report.html?" in artifact["data"]
    assert f"`{deployed.folder}/runs/tiny/report.html`" in artifact["data"]


def test_the_tracked_run_links_back_to_the_flow_run(deployed, flow_run, runs) -> None:
    tags = runs[0].data.tags
    assert tags["prefect.flow_run_id"] == flow_run["id"]
    page = deployed.api.removesuffix("/api")
    assert tags["prefect.flow_run_url"] == f"{page}/runs/flow-run/{flow_run['id']}"


def test_every_stage_is_a_child_run(runs) -> None:
    parent, *children = runs
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    names = sorted(run.info.run_name for run in children)
    made = {f"{zoo}.{stage}" for zoo in ZOOS for stage in STAGES}
    assert names == sorted(made - {f"{ZOOS[1]}.images"}), "the images of both zoos are the same"
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_tracked_metrics_are_those_of_both_zoos(deployed, runs) -> None:
    results = json.loads((deployed.folder / "runs" / "tiny" / "results.json").read_text())
    metrics = runs[0].data.metrics
    for zoo in ZOOS:
        for metric in ("probe.r2.test_accuracy.sane_mean", "generation.accuracy.sub.epoch0"):
            assert metrics[f"{zoo}.{metric}"] == pytest.approx(results[f"{zoo}.{metric}"])


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"nam": "tiny"}, "'nam' was unexpected"),
        ({"pretrain": {"epochs": 0}}, "'config.pretrain.epochs'"),
    ],
)
def test_an_invalid_configuration_is_refused_at_submission(
    deployed, flow_run, config: dict[str, object], sentence: str
) -> None:
    refused = deployed.prefect(
        "deployment", "run", NAME, "--params", json.dumps({"config": config})
    )
    assert refused.returncode == 1
    assert sentence in " ".join(refused.stdout.split() + refused.stderr.split())
    assert [run["id"] for run in deployed.find("flow_runs")] == [flow_run["id"]]
