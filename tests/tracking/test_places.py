"""Where MLflow keeps things, and what is said when it cannot."""

import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from schemas.config.benchmark import TrackingConfig
from schemas.errors import UserError
from tasks.tracking import Tracking
from tasks.tracking_places import resolve, ui_command

PREPARE = """
import sys
from schemas.config.benchmark import TrackingConfig
from tasks.tracking import Tracking

sys.stdin.readline()
tracking = Tracking(TrackingConfig(uri="sqlite:///deep/er/mlflow.db", artifacts="deep/artifacts"))
tracking.prepare()
print(tracking.link("run").experiment_id)
"""
ROOT = Path(__file__).parents[2]


def test_processes_that_prepare_at_once_share_one_database_in_silence(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], told
    assert told[0] == told[1] == ("1\n", "")
    client = MlflowClient(f"sqlite:///{tmp_path}/deep/er/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "sane")
    assert experiment.artifact_location == (tmp_path / "deep" / "artifacts").as_uri()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]


def test_a_database_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    tracking = Tracking(TrackingConfig(uri=f"sqlite:///{tmp_path}/notes/mlflow.db"))

    with pytest.raises(UserError) as failure:
        tracking.prepare()

    assert str(failure.value) == (
        f"MLflow database {tmp_path}/notes/mlflow.db cannot be opened "
        f"(File exists: {tmp_path}/notes): choose another `tracking.uri`"
    )


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are my notes, not a database\n" * 100)
    tracking = Tracking(TrackingConfig(uri=f"sqlite:///{tmp_path}/notes.txt"))

    with pytest.raises(UserError, match=r"notes\.txt cannot be opened \(file is not a database\)"):
        tracking.prepare()

    assert (tmp_path / "notes.txt").read_text().startswith("these are my notes")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_database_of_another_mlflow_version_is_explained(
    config: TrackingConfig, client: MlflowClient, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(config.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'older'")

    with pytest.raises(UserError) as failure:
        Tracking(TrackingConfig(uri=uri)).prepare()

    assert str(failure.value) == (
        f"MLflow ({uri}) cannot be opened (it was made by another version of MLflow): copy it, "
        f"then run `mlflow db upgrade {uri}`; or choose another `tracking.uri`"
    )


def test_a_server_that_does_not_answer_is_named_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"MLflow server {uri} does not answer \(.*refused"):
            Tracking(TrackingConfig(uri=uri)).prepare()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:///:memory:", "a database that other processes can open, got sqlite:///:memory:"),
        ("sqlite://", "a database that other processes can open, got sqlite://"),
        ("mlruns", "a database or a server, got mlruns: MLflow no longer tracks into folders"),
        ("file:///mlruns", "a database or a server, got file:///mlruns: MLflow no longer"),
    ],
)
def test_a_place_that_cannot_hold_runs_is_refused(uri: str, message: str) -> None:
    with pytest.raises(UserError) as failure:
        Tracking(TrackingConfig(uri=uri))

    assert f"tracking.uri must be {message}" in str(failure.value)


def test_an_unknown_kind_of_database_is_named() -> None:
    with pytest.raises(UserError, match=r"^MLflow \(paper://ledger\) cannot be opened \("):
        Tracking(TrackingConfig(uri="paper://ledger")).prepare()


def test_a_deleted_experiment_is_named(config: TrackingConfig, client: MlflowClient) -> None:
    client.delete_experiment(client.create_experiment("gone"))

    with pytest.raises(UserError, match="experiment gone was deleted: restore it, or choose"):
        Tracking(config.model_copy(update={"experiment": "gone"})).prepare()


def test_relative_places_count_from_the_current_folder(current_folder: Path) -> None:
    resolved = resolve(TrackingConfig())

    assert resolved.uri == f"sqlite:///{current_folder}/mlruns/mlflow.db"
    assert resolved.artifacts == (current_folder / "mlruns" / "artifacts").as_uri()
    assert resolve(resolved) == resolved


def test_places_elsewhere_stay_as_they_are() -> None:
    config = TrackingConfig(uri="postgresql://host/mlflow", artifacts="s3://bucket/artifacts")

    assert resolve(config) == config


def test_the_command_opens_this_database_on_the_loopback(current_folder: Path) -> None:
    program, *arguments = shlex.split(ui_command(TrackingConfig()))

    assert Path(program).name == "mlflow"
    assert arguments == [
        "ui",
        "--backend-store-uri",
        f"sqlite:///{current_folder}/mlruns/mlflow.db",
        "--host",
        "127.0.0.1",
        "--port",
        "5000",
    ]


def test_a_server_is_opened_in_the_browser() -> None:
    command = ui_command(TrackingConfig(uri="http://tracking.example:5000"))

    assert command == "python -m webbrowser http://tracking.example:5000"


def test_naming_a_place_does_not_import_mlflow() -> None:
    code = (
        "import sys\n"
        "from schemas.config.benchmark import TrackingConfig\n"
        "from tasks.tracking import Tracking\n"
        "Tracking(TrackingConfig())\n"
        "sys.exit('mlflow' in sys.modules)\n"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
