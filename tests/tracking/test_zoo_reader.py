"""An MLflow experiment becomes a zoo: what was logged together stays together, and nothing runs."""

import os
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.entities import FileInfo, Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from safetensors.torch import save_file

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.ingest import ingest, source_digest
from sane_core.zoo.readers.reader import Found, Rejected, ScanOptions
from schemas.config.benchmark import TrackingConfig
from schemas.config.ingest import IngestConfig
from schemas.errors import UserError
from tasks import tracking_zoo_artifacts, tracking_zoo_runs
from tasks.ingest import IngestStage
from tasks.tracking_zoo import MlflowZoo

SHAPES = architecture_named("digits-cnn").shapes()
SETTINGS = IngestConfig(name="logged", source="mlflow:", max_quarantined=0.5)
Log = Callable[..., str]


class Hostile:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "ran")


def state_dict(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


@pytest.fixture
def experiment(client: MlflowClient, config: TrackingConfig) -> str:
    """Name of an experiment of the test's own."""
    name = uuid4().hex
    client.create_experiment(name, f"{Path(config.artifacts).as_uri()}/{name}")
    return name


@pytest.fixture
def log(client: MlflowClient, experiment: str, tmp_path: Path) -> Log:
    """Log a run: checkpoints by artifact path, and metric -> step -> value."""
    identity = client.get_experiment_by_name(experiment).experiment_id
    started = iter(range(1_000, 2_000))

    def log_run(
        checkpoints: dict[str, object],
        metrics: dict[str, dict[int, float]] | None = None,
        parameters: dict[str, object] | None = None,
        name: str = "run",
        status: str = "FINISHED",
    ) -> str:
        run = client.create_run(identity, next(started), run_name=name).info.run_id
        for path, content in checkpoints.items():
            folder, _, file = path.rpartition("/")
            local = tmp_path / "logged" / file
            local.parent.mkdir(exist_ok=True)
            if isinstance(content, bytes):
                local.write_bytes(content)
            elif file.endswith(".safetensors"):
                save_file(content, local)
            else:
                torch.save(content, local)
            client.log_artifact(run, str(local), folder or None)
        points = [
            Metric(key, value, 5_000 + at, step)
            for key, history in (metrics or {}).items()
            for at, (step, value) in enumerate(history.items())
        ]
        client.log_batch(run, points)
        for key, value in (parameters or {}).items():
            client.log_param(run, key, value)
        client.set_terminated(run, status)
        return run

    return log_run


@pytest.fixture
def three_runs(log: Log) -> list[str]:
    """Three runs of two epochs each, in per cent."""
    return [
        log(
            {f"checkpoint_{epoch}/weights.pt": state_dict(10 * run + epoch) for epoch in (1, 2)},
            {
                "test_acc": {0: 1.0, 1: 40.0 + run, 2: 50.0 + run},
                "train/loss": {1: 1.5, 2: 1.25},
                "grad_norm": {1: 3.0, 2: 2.0},
            },
            {"lr": 0.1 * (run + 1), "width": 16, "optimizer": "adam", "nesterov": True},
            name=f"member-{run}",
        )
        for run in range(3)
    ]


def scan(config: TrackingConfig, experiment: str, **settings) -> list[Found | Rejected]:
    return list(MlflowZoo(config).scan(f"mlflow:{experiment}", ScanOptions(**settings)))


def take(
    config: TrackingConfig, experiment: str, folder: Path, settings: IngestConfig = SETTINGS
) -> Path:
    folder.mkdir()
    ingest(f"mlflow:{experiment}", folder, folder, settings, 0, reader=MlflowZoo(config))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_experiment_becomes_a_zoo(config, experiment, three_runs, tmp_path) -> None:
    folder = take(config, experiment, tmp_path / "zoo")

    rows = pq.read_table(folder / "checkpoints.parquet").to_pylist()
    assert [(row["run"], row["epoch"]) for row in rows] == [
        (run, epoch) for run in range(3) for epoch in (1, 2)
    ]
    assert [row["run_name"] for row in rows[::2]] == [
        f"member-{run}-{identity}" for run, identity in enumerate(three_runs)
    ]
    assert [row["test_accuracy"] for row in rows] == pytest.approx(
        [0.40, 0.50, 0.41, 0.51, 0.42, 0.52]
    )
    assert [row["train_loss"] for row in rows] == [1.5, 1.25] * 3
    assert rows[3]["hyperparameters"] == {
        "lr": 0.2,
        "metrics.grad_norm": 2.0,
        "nesterov": 1,
        "optimizer": "adam",
        "width": 16,
    }
    assert {row["architecture"] for row in rows} == {"digits-cnn"}
    weights = pq.read_table(folder / "weights").to_pylist()
    first = np.concatenate([np.ravel(row["values"]) for row in weights if row["run"] == 1])
    assert len(first) == 2 * sum(values.numel() for values in state_dict(0).values())
    assert pq.read_table(folder / "quarantine.parquet").num_rows == 0


def test_equal_experiments_give_equal_files(config, experiment, three_runs, tmp_path) -> None:
    first = take(config, experiment, tmp_path / "first")
    second = take(config, experiment, tmp_path / "second")

    assert files(first) == files(second)
    source, reader = f"mlflow:{experiment}", MlflowZoo(config)
    assert source_digest(source, reader, SETTINGS) == source_digest(source, reader, SETTINGS)


def test_the_digest_changes_with_what_is_logged(client, config, experiment, three_runs) -> None:
    source, reader = f"mlflow:{experiment}", MlflowZoo(config)
    before = source_digest(source, reader, SETTINGS)

    client.log_metric(three_runs[0], "test_acc", 51.0, step=2)

    assert source_digest(source, reader, SETTINGS) != before


def test_the_digest_changes_with_a_local_file(config, experiment, three_runs) -> None:
    source, reader = f"mlflow:{experiment}", MlflowZoo(config)
    before = source_digest(source, reader, SETTINGS)

    os.utime(next((Path(config.artifacts) / experiment).rglob("weights.pt")), (1, 1))

    assert source_digest(source, reader, SETTINGS) != before


def test_a_checkpoint_of_lightning_is_read(config, experiment, log) -> None:
    wrapped = {"epoch": 3, "global_step": 40, "state_dict": state_dict(0), "optimizer_states": []}
    log({"epoch=3-step=40.ckpt": wrapped})

    (found,) = scan(config, experiment)

    assert MlflowZoo(config).read(found).tensors.keys() == SHAPES.keys()


def test_small_pages_lose_and_double_nothing(config, experiment, log, monkeypatch) -> None:
    runs = [log({"weights.pt": state_dict(run)}) for run in range(5)]
    monkeypatch.setattr(tracking_zoo_runs, "_PAGE", 2)

    assert [entry.path.parts[-3] for entry in scan(config, experiment)] == runs


def test_an_experiment_is_found_by_its_id(client, config, experiment, three_runs) -> None:
    identity = client.get_experiment_by_name(experiment).experiment_id

    assert scan(config, identity) == scan(config, experiment)


def test_a_pickled_model_is_refused_and_never_run(
    client, config, experiment, log, tmp_path
) -> None:
    trap = tmp_path / "trap"
    hostile = pickle.dumps(Hostile(trap))
    run = log(
        {
            "checkpoint_1/weights.pt": state_dict(1),
            "model/MLmodel": b"flavors:\n  pytorch:\n    model_data: data\n",
            "model/data/model.pth": hostile,
            "model/python_model.pkl": hostile,
            "checkpoint_2/weights.pt": hostile,
        }
    )
    identity = client.get_experiment_by_name(experiment).experiment_id
    model = client.create_logged_model(identity, "network", run)

    folder = take(
        config, experiment, tmp_path / "zoo", SETTINGS.model_copy(update={"max_quarantined": 0.9})
    )

    assert pq.read_table(folder / "checkpoints.parquet")["epoch"].to_pylist() == [1]
    rows = pq.read_table(folder / "quarantine.parquet").to_pylist()
    assert [row["file"] for row in rows] == sorted(
        [f"{run}/checkpoint_2/weights.pt", f"{run}/model/MLmodel", f"models/{model.model_id}"]
    )
    refused = [row for row in rows if "checkpoint_2" not in row["file"]]
    assert all("pickled module, which would have to run code" in row["reason"] for row in refused)
    assert all("torch.save(model.state_dict(), path)" in row["remedy"] for row in refused)
    assert all(row["run"] == f"run-{run}" for row in refused)
    assert not trap.exists()
    pickle.loads(hostile)  # noqa: S301 (the trap works)
    assert trap.read_text() == "ran"


def test_a_server_before_mlflow_3_has_no_models(
    config, three_runs, experiment, monkeypatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MlflowException("404")

    monkeypatch.setattr(MlflowClient, "search_logged_models", missing)

    assert len(scan(config, experiment)) == 6


def test_safetensors_of_a_model_are_read(config, experiment, log) -> None:
    log({"model/MLmodel": b"", "model/model.safetensors": state_dict(0), "model/a.bin": b"\x80"})

    (found,) = scan(config, experiment)

    assert found.file.endswith("/model/model.safetensors")
    assert MlflowZoo(config).read(found).tensors.keys() == SHAPES.keys()


@pytest.mark.parametrize(
    ("path", "epoch"),
    [
        ("checkpoint_12/weights.pt", 12),
        ("checkpoint_000012/model.safetensors", 12),
        ("checkpoints/epoch_12.pt", 12),
        ("epoch=12-step=3456.ckpt", 12),
        ("epoch=12-val_acc=0.93.ckpt", 12),
        ("model_12.pth", 12),
        ("checkpoints/epoch_12/checkpoint.weights.pth", 12),
        ("model_3/epoch_12.pt", 12),
        ("12/state_dict.pth", 12),
        ("resnet18.pt", None),
        ("model_v2/weights.pt", None),
    ],
)
def test_paths_say_epochs(config, experiment, log, path, epoch) -> None:
    log({path: b"unopened", "optimizer.pt": b"unopened"}, {"loss": {7: 0.5}})

    (found,) = scan(config, experiment)

    assert found.epoch == (7 if epoch is None else epoch)


def test_steps_are_counted_in_epochs_where_the_run_says_so(config, experiment, log) -> None:
    log(
        {"epoch=0-step=100.ckpt": b"", "epoch=1-step=200.ckpt": b"", "global_step_300/c.pth": b""},
        {
            "epoch": {49: 0, 99: 0, 149: 1, 199: 1, 299: 2},
            "train_loss": {49: 3.0, 99: 2.5, 149: 2.0, 199: 1.5},
            "val_acc": {99: 0.2, 199: 0.3, 299: 0.4},
        },
    )

    found = scan(config, experiment)

    assert [(entry.epoch, dict(entry.metrics)) for entry in found] == [
        (0, {"train_loss": 2.5, "validation_accuracy": 0.2}),
        (1, {"train_loss": 1.5, "validation_accuracy": 0.3}),
        (2, {"validation_accuracy": 0.4}),
    ]


def test_a_final_evaluation_belongs_to_the_last_epoch(client, config, experiment, log) -> None:
    run = log({"epoch_1.pt": b"", "epoch_2.pt": b""}, {"train_loss": {1: 2.0, 2: 1.0}})
    client.log_metric(run, "test_accuracy", 0.75)

    assert [dict(entry.metrics) for entry in scan(config, experiment)] == [
        {"train_loss": 2.0},
        {"train_loss": 1.0, "test_accuracy": 0.75},
    ]


def test_a_network_at_chance_is_read_in_the_experiments_unit(config, experiment, log) -> None:
    log({"epoch_1.pt": b""}, {"test_acc": {1: 60.0}, "val_acc": {1: 0.6}})
    log({"epoch_1.pt": b""}, {"test_acc": {1: 1.0}, "val_acc": {1: 1.0}})

    assert [dict(entry.metrics) for entry in scan(config, experiment)] == [
        {"test_accuracy": 0.6, "validation_accuracy": 0.6},
        {"test_accuracy": 0.01, "validation_accuracy": 1.0},
    ]


def test_a_bare_accuracy_is_a_test_accuracy_only_if_somebody_says_so(
    config, experiment, log
) -> None:
    log({"epoch_1.pt": b""}, {"accuracy": {1: 0.9}, "loss": {1: 0.5}})
    log({"epoch_1.pt": b""}, {"accuracy": {1: 0.9}, "val_accuracy": {1: 0.8}})

    alone, beside = scan(config, experiment)
    said = MlflowZoo(config, {"accuracy": "test_accuracy"})
    named, _ = said.scan(f"mlflow:{experiment}", ScanOptions())

    assert alone.metrics == {"train_loss": 0.5}
    assert alone.properties == {"metrics.accuracy": 0.9}
    assert beside.metrics == {"validation_accuracy": 0.8, "train_accuracy": 0.9}
    assert named.metrics == {"train_loss": 0.5, "test_accuracy": 0.9}


def test_a_configuration_says_what_a_metric_is(config, experiment, log) -> None:
    log({"epoch_1.pt": b""}, {"accuracy": {1: 0.9}})

    def digest(**names: str) -> str:
        source = f"mlflow:{experiment}"
        settings = IngestConfig(name="logged", source=source, metric_names=names)
        return IngestStage.of(settings, config).digest

    assert digest(accuracy="test_accuracy") != digest()
    with pytest.raises(UserError, match=r"'accuracy' must stand for one of test_.*, got 'best'"):
        digest(accuracy="best")


def test_checkpoints_without_an_epoch_say_what_to_do(config, experiment, log) -> None:
    log({"early.pt": b"", "late.pt": b""})

    entries = scan(config, experiment)

    assert [entry.reason for entry in entries] == [
        "its epoch must be known, and its path has none"
    ] * 2
    assert all("checkpoint_12/weights.pt, or say where it stands" in e.remedy for e in entries)


def test_a_pattern_says_where_the_epoch_stands(config, experiment, log) -> None:
    log({"stage3-wide.pt": b"", "stage10-wide.pt": b""})

    found = scan(config, experiment, pattern="stage{epoch}-{kind}.pt")

    assert [(e.epoch, e.properties) for e in found] == [
        (3, {"kind": "wide"}),
        (10, {"kind": "wide"}),
    ]


def test_best_and_last_are_copies_beside_numbered_ones(config, experiment, log) -> None:
    log({"epoch_1.pt": b"", "epoch_2.pt": b"", "last.pt": b"", "best_model.pt": b""})
    log({"latest_checkpoint.pth": b""}, {"loss": {1: 1.0, 5: 0.5}})

    assert [entry.epoch for entry in scan(config, experiment)] == [1, 2, 5]


def test_failed_runs_count_and_deleted_ones_do_not(client, config, experiment, log) -> None:
    failed = log({"epoch_1.pt": b""}, status="FAILED")
    client.delete_run(log({"epoch_1.pt": b""}))
    log({})

    assert [entry.file for entry in scan(config, experiment)] == [f"{failed}/epoch_1.pt"]


def test_a_link_out_of_the_artifacts_is_not_followed(config, experiment, log) -> None:
    run = log({"epoch_1.pt": b""})
    folder = Path(config.artifacts) / experiment / run / "artifacts"
    (folder / "epoch_2.pt").symlink_to("/etc/hostname")

    found, rejected = sorted(scan(config, experiment), key=lambda entry: entry.file)

    assert found.epoch == 1
    assert rejected.reason == "a link must end inside the source"


def test_what_is_not_there_is_named(client, config, experiment, log, tmp_path) -> None:
    with pytest.raises(UserError, match=rf"experiment '{experiment}' \(sqlite.*got none; log the"):
        scan(config, experiment)
    log({"notes.txt": b""})
    with pytest.raises(UserError, match=r"got 1 runs and no checkpoint in them; log the weights"):
        scan(config, experiment)
    with pytest.raises(UserError, match=r"MLflow \(sqlite:.*named after mlflow:, got 'nowhere'"):
        scan(config, "nowhere")
    client.delete_experiment(client.get_experiment_by_name(experiment).experiment_id)
    with pytest.raises(UserError, match=r"\(sqlite:.*\) was deleted: restore it first"):
        scan(config, experiment)
    with pytest.raises(UserError, match=r"none\.db must be a database of MLflow: check"):
        scan(TrackingConfig(uri=f"sqlite:///{tmp_path}/none.db"), experiment)
    assert not (tmp_path / "none.db").exists()


def test_a_server_that_does_not_answer_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"MLflow server {uri} does not answer"):
            scan(TrackingConfig(uri=uri), "any")


def test_an_artifact_elsewhere_is_downloaded_and_not_kept(
    config, experiment, log, tmp_path, monkeypatch
) -> None:
    log({"a/epoch_1.pt": state_dict(1), "a/epoch_2.safetensors": state_dict(2)})
    local = scan(config, experiment)
    monkeypatch.setattr(tracking_zoo_artifacts, "_local_folder", lambda uri: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(tmp_path.iterdir())

    remote = scan(config, experiment)

    assert [entry.file for entry in remote] == [entry.file for entry in local]
    assert not any(entry.path.is_absolute() for entry in remote)
    for there, here in zip(remote, local, strict=True):
        assert MlflowZoo(config).read(there).sha256 == MlflowZoo(config).read(here).sha256
    assert sorted(tmp_path.iterdir()) == before


def test_what_cannot_be_downloaded_is_refused(config, experiment, log, monkeypatch) -> None:
    run = log({"epoch_1.pt": state_dict(1)})
    monkeypatch.setattr(tracking_zoo_artifacts, "_local_folder", lambda uri: None)
    (found,) = scan(config, experiment)

    with pytest.raises(Refused, match="must have at most 10 bytes"):
        MlflowZoo(config, limits=Limits(bytes=10)).read(found)
    shutil.rmtree(Path(config.artifacts) / experiment / run)
    with pytest.raises(Refused, match="the artifact must be there to download"):
        MlflowZoo(config).read(found)


@pytest.mark.parametrize("name", ["../epoch_1.pt", "/etc/epoch_1.pt", "a/../epoch_1.pt", "x\\y.pt"])
def test_names_of_artifacts_never_lead_out(config, experiment, log, monkeypatch, name) -> None:
    log({"epoch_1.pt": b""})
    monkeypatch.setattr(tracking_zoo_artifacts, "_local_folder", lambda uri: None)
    monkeypatch.setattr(
        MlflowClient, "list_artifacts", lambda self, run, path=None: [FileInfo(name, False, 1)]
    )

    (rejected,) = scan(config, experiment)

    assert rejected.reason == "the name of an artifact must be a plain path"


def test_shards_are_one_checkpoint_with_their_index(config, experiment, log, monkeypatch) -> None:
    whole = state_dict(4)
    first, second = dict(list(whole.items())[:2]), dict(list(whole.items())[2:])
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {name: names[name not in first] for name in whole}
    log(
        {
            f"epoch_3/{names[0]}": first,
            f"epoch_3/{names[1]}": second,
            "epoch_3/model.safetensors.index.json": repr({"weight_map": index})
            .replace("'", '"')
            .encode(),
            "epoch_4/pytorch_model-00001-of-00002.bin": b"",
        }
    )
    monkeypatch.setattr(tracking_zoo_artifacts, "_local_folder", lambda uri: None)

    found, rejected = sorted(scan(config, experiment), key=lambda entry: entry.file)

    assert (found.epoch, found.bytes > 4 * sum(v.numel() for v in whole.values())) == (3, True)
    assert MlflowZoo(config).read(found).tensors.keys() == whole.keys()
    assert rejected.reason == "a shard must be safetensors and lie beside its index"


@pytest.fixture
def server(
    config: TrackingConfig, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """MLflow's server of the database on the loopback; it hands the artifacts through itself.

    In this process: `mlflow server` takes half a minute to start where a machine is busy.
    """
    for name, value in {
        "FILE_STORE": config.uri,
        "ARTIFACT_ROOT": "mlflow-artifacts:/",
        "ARTIFACT_DESTINATION": str(tmp_path / "served"),
        "SERVE_ARTIFACTS": "true",
    }.items():
        monkeypatch.setenv(f"_MLFLOW_SERVER_{name}", value)
    from mlflow.server import app, handlers
    from werkzeug.serving import make_server

    monkeypatch.setattr(handlers, "_tracking_store", None)
    serving = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_server_gives_the_same_zoo(server: str, tmp_path: Path) -> None:
    client, name = MlflowClient(server, server), uuid4().hex
    identity = client.create_experiment(name)
    for member in range(3):
        run = client.create_run(identity).info.run_id
        for epoch in (1, 2):
            torch.save(state_dict(10 * member + epoch), tmp_path / "weights.pt")
            client.log_artifact(run, str(tmp_path / "weights.pt"), f"checkpoint_{epoch}")
            client.log_metric(run, "test_acc", 0.1 * epoch, step=epoch)
        client.set_terminated(run)

    folder = take(TrackingConfig(uri=server), name, tmp_path / "zoo")

    assert len(list((tmp_path / "served").rglob("weights.pt"))) == 6
    rows = pq.read_table(folder / "checkpoints.parquet").to_pylist()
    assert [row["test_accuracy"] for row in rows] == pytest.approx([0.1, 0.2] * 3)
    assert [row["epoch"] for row in rows] == [1, 2] * 3
