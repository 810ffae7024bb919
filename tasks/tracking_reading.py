"""Read from MLflow what is there; nothing is made where there is none."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.config.benchmark import TrackingConfig
from schemas.errors import UserError
from tasks.tracking_experiment import quiet_client
from tasks.tracking_failures import naming, opening
from tasks.tracking_places import check_server, database_file, is_server, resolve

if TYPE_CHECKING:
    from tasks.tracking_experiment import MlflowClient

_EXPERIMENTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'experiments'"


@contextmanager
def reading(config: TrackingConfig) -> "Iterator[MlflowClient]":
    """Give a client of a place that is there already; neither place nor experiment is made.

    Args:
        config: Where MLflow keeps its database; the experiment is not looked at.

    Raises:
        UserError: The place cannot be opened.
        SaneError: MLflow failed while it was read.
    """
    uri = resolve(config).uri
    client_type = quiet_client()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if is_server(uri):
        check_server(uri)
    elif file := database_file(uri):
        _check_is_there(file)
    with opening(uri):
        client = client_type(tracking_uri=uri, registry_uri=uri)
    with naming(uri, "it could not be read"):
        yield client


def _check_is_there(file: Path) -> None:
    """Raise unless a file is a database of MLflow; MLflow would make one of whatever it is."""
    found = file.is_file()
    try:
        if found:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
                found = bool(database.execute(_EXPERIMENTS).fetchone())
    except sqlite3.Error as error:
        raise UserError(
            f"MLflow database {file} cannot be read ({error}): check `tracking.uri`"
        ) from error
    if not found:
        raise UserError(f"{file} must be a database of MLflow: check `tracking.uri`")
