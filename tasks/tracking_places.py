"""Where MLflow keeps things, how its page is opened, and how a run and its flow run link up.

Relative places count from the current folder, once, so that a later change of folder moves nothing.
"""

import shlex
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from pydantic import Field

from schemas.config.benchmark import TrackingConfig
from schemas.errors import UserError
from schemas.records import Record

_SQLITE = "sqlite:///"
# Without it, MLflow shows a newcomer the page for language models, which is empty here.
_VIEW = "workflowType=machine_learning"
_LOCAL_PAGE = "http://127.0.0.1:5000"
# Seconds. A migration in another process holds the database for a while; a server answers at once.
_DATABASE_PATIENCE = 60.0
_SERVER_PATIENCE = 10.0


class FlowRunRef(Record):
    """The flow run that a benchmark's run belongs to."""

    id: str = Field(pattern=r"^[\w-]+$", description="flow-run id of the orchestrator")
    url: str | None = Field(default=None, description="its page; none without a server")


class RunLink(Record):
    """Where a run of MLflow is found, for the orchestrator's side."""

    experiment_id: str
    run_id: str
    path: str = Field(description="place on MLflow's page: #/experiments/…/runs/…")
    url: str = Field(description="address of the run; of a local page, once `ui_command` runs")
    compare_url: str = Field(description="address of all runs of the experiment, as charts")

    def file_url(self, file: str) -> str:
        """Return the address of a file that was copied onto the run."""
        run, question, view = self.url.partition("?")
        return f"{run}/artifacts/{file}{question}{view}"


def resolve(config: TrackingConfig) -> TrackingConfig:
    """Return the configuration with every local place absolute.

    Raises:
        UserError: The database would be in memory, or the place is a bare folder.
    """
    if config.uri in {"sqlite:", "sqlite://"} or config.uri.startswith(f"{_SQLITE}:memory:"):
        raise UserError(
            f"tracking.uri must be a database that other processes can open, got {config.uri}: "
            "give it a file, such as sqlite:///mlruns/mlflow.db"
        )
    if "://" not in config.uri or config.uri.startswith("file:"):
        raise UserError(
            f"tracking.uri must be a database or a server, got {config.uri}: MLflow no longer "
            "tracks into folders; give it a file, such as sqlite:///mlruns/mlflow.db"
        )
    uri, artifacts = config.uri, config.artifacts
    if uri.startswith(_SQLITE):
        path, question, options = uri.removeprefix(_SQLITE).partition("?")
        uri = f"{_SQLITE}{Path(path).absolute()}{question}{options}"
    if "://" not in artifacts:
        artifacts = Path(artifacts).absolute().as_uri()
    return config.model_copy(update={"uri": uri, "artifacts": artifacts})


def database_file(uri: str) -> Path | None:
    """Return the file of a SQLite database; None for any other database or server."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0])


def is_server(uri: str) -> bool:
    """Say whether a tracking URI is a server, which decides itself where artifacts go."""
    return uri.startswith(("http://", "https://"))


def check_database(file: Path) -> None:
    """Make the folder of a SQLite database and find out whether it can be written.

    MLflow itself would try for minutes.

    Raises:
        UserError: It cannot, with the reason.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=_DATABASE_PATIENCE)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except (OSError, sqlite3.Error) as error:
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"{error.strerror}: {error.filename}"
        raise UserError(
            f"MLflow database {file} cannot be opened ({reason}): choose another `tracking.uri`"
        ) from error


def check_server(uri: str) -> None:
    """Find out whether a tracking server answers; MLflow itself would try for minutes.

    Raises:
        UserError: It does not.
    """
    try:
        urlopen(f"{uri.rstrip('/')}/health", timeout=_SERVER_PATIENCE).close()
    except HTTPError:
        return
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"MLflow server {uri} does not answer ({reason}): start it, or choose another "
            "`tracking.uri`"
        ) from error


def ui_command(config: TrackingConfig) -> str:
    """Return the command that opens MLflow's page, from whichever folder it is called."""
    uri = resolve(config).uri
    if is_server(uri):
        return shlex.join(["python", "-m", "webbrowser", uri])
    command = [_program(), "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    return shlex.join([*command, "--port", "5000"])


def run_link(config: TrackingConfig, experiment_id: str, run_id: str) -> RunLink:
    """Return where a run is found."""
    runs = f"#/experiments/{experiment_id}/runs"
    page = config.uri.rstrip("/") if is_server(config.uri) else _LOCAL_PAGE
    return RunLink(
        experiment_id=experiment_id,
        run_id=run_id,
        path=f"{runs}/{run_id}",
        url=f"{page}/{runs}/{run_id}?{_VIEW}",
        compare_url=f"{page}/{runs}?{_VIEW}&compareRunsMode=CHART",
    )


def _program() -> str:
    """Return how this environment's `mlflow` is called: by name only if that is the one found."""
    ours = Path(sys.executable).with_name("mlflow")
    found = shutil.which("mlflow")
    return "mlflow" if not ours.exists() or (found and Path(found) == ours) else str(ours)
