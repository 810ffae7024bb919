"""MLflow, and the only module that imports it: a run per flow run, a child run per stage.

Everything is idempotent: a second `start` of a flow run gives the same run, an artifact that was
recorded once gets no second child, and no metric's history is ever doubled. A cached stage is
recorded from its manifest, so that every run is complete and runs compare as they are.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from schemas.config.benchmark import TrackingConfig
from schemas.errors import DiskFull, SaneError, UserError
from schemas.records import Artifact, Manifest
from tasks.locks import file_lock
from tasks.tracking_content import (
    PARENT,
    Content,
    StageName,
    benchmark_content,
    benchmark_tags,
    stage_content,
    stage_tags,
)
from tasks.tracking_names import flat_parameters
from tasks.tracking_places import (
    FlowRunRef,
    RunLink,
    check_database,
    check_server,
    database_file,
    is_server,
    resolve,
    run_link,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]
_BATCH = 100
_EXPERIMENTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'experiments'"
_FULL = ("disk is full", "no space left", "quota exceeded")


class Tracking:
    """The experiment of a benchmark, in a database or on a server; safe to share by threads."""

    def __init__(self, config: TrackingConfig, zoos: int = 1) -> None:
        """Name the place; nothing is opened yet, and MLflow is not imported.

        Args:
            config: Where MLflow keeps its database and artifacts.
            zoos: Zoos in the benchmark; with more than one, metric names begin with the zoo's.

        Raises:
            UserError: The place cannot hold runs.
        """
        self.config = resolve(config)
        self._zoos = zoos

    def prepare(self) -> None:
        """Make database and experiment, once; call it before any fan-out.

        Raises:
            UserError: The database, the server or the experiment cannot be used, and why.
        """
        _ = self._place

    def start(
        self,
        name: str,
        flow_run: FlowRunRef | None,
        parameters: BaseModel | Mapping[str, object],
    ) -> str:
        """Return the run of a flow run; a retried flow run continues the run it has.

        Args:
            name: What the run is called, the benchmark's name.
            flow_run: The flow run; None outside the orchestrator, where every start is a new run.
            parameters: The configuration, nested; it is flattened to dotted names.

        Raises:
            SaneError: MLflow failed.
        """
        client, experiment = self._place
        with self._named(f"run {name} could not be started"):
            runs = self._runs({"prefect.flow_run_id": flow_run.id}) if flow_run else []
            if runs:
                run = runs[0]
                client.update_run(run.info.run_id, status="RUNNING")
            else:
                run = client.create_run(experiment, tags=benchmark_tags(flow_run), run_name=name)
            self._add(run.info.run_id, Content(parameters=flat_parameters(parameters)))
        return str(run.info.run_id)

    def record_stage(
        self,
        parent: str,
        stage: str,
        zoo: str | None,
        artifact: Artifact,
        manifest: Manifest,
        cached: bool,
    ) -> str | None:
        """Record a stage; call it as often as you like.

        Args:
            parent: Run of the benchmark; it gets the metrics too.
            stage: Name of the stage.
            zoo: Zoo that it worked on; None if on all of them.
            artifact: What it made or found.
            manifest: The artifact's manifest.
            cached: Whether the artifact was there already.

        Returns:
            The child run that was written; None if the artifact had a finished one.

        Raises:
            SaneError: MLflow failed.
        """
        name = StageName(stage, zoo)
        with self._named(f"stage {name.label} could not be recorded"):
            child, unfinished = self._child(parent, name, artifact, manifest)
            run = str(child.info.run_id)
            if unfinished:
                self._add(run, stage_content(manifest))
                self._place[0].set_terminated(run, "FINISHED", end_time=_now())
            # A retry finds in the store what its own first attempt made: that is no cache hit.
            made_here = not unfinished and child.data.tags.get(PARENT) == parent
            source = run if cached and not made_here else None
            self._add(parent, benchmark_content(name, manifest, source, self._zoos))
        return run if unfinished else None

    def log_files(self, run: str, *sources: Path, to: str | None = None) -> None:
        """Copy files onto a run, over what is there.

        Args:
            run: The run.
            sources: A file lands at `to/<its name>`; of a folder, what is in it lands in `to`.
            to: Folder within the run's artifacts; their root if None.

        Raises:
            SaneError: A source is missing, or MLflow failed.
        """
        client, _ = self._place
        for source in sources:
            if not source.exists():
                raise SaneError(f"{source} cannot be copied to MLflow: there is no such file")
            log = client.log_artifacts if source.is_dir() else client.log_artifact
            with self._named(f"{source} could not be copied"):
                log(run, str(source), to)

    def finish(self, run: str, status: Status = "FINISHED") -> None:
        """Say how a run ended.

        Raises:
            SaneError: MLflow failed.
        """
        with self._named(f"run {run} could not be finished"):
            self._place[0].set_terminated(run, status)

    def link(self, run: str) -> RunLink:
        """Return where a run is found, for the orchestrator's side."""
        return run_link(self.config, self._place[1], run)

    @cached_property
    def _place(self) -> "tuple[MlflowClient, str]":
        """The client and the experiment's id."""
        client_type = _quiet_client()
        lock: AbstractContextManager[object] = nullcontext()
        if is_server(self.config.uri):
            check_server(self.config.uri)
        elif file := database_file(self.config.uri):
            check_database(file)
            # Processes that migrate one database at once break it.
            lock = file_lock(file.with_name(f"{file.name}.lock"))
        with self._opening(), lock:
            client = client_type(tracking_uri=self.config.uri, registry_uri=self.config.uri)
            return client, self._experiment(client)

    def _experiment(self, client: "MlflowClient") -> str:
        from mlflow.exceptions import MlflowException

        name = self.config.experiment
        found = client.get_experiment_by_name(name)
        if found is None:
            artifacts = None if is_server(self.config.uri) else self.config.artifacts
            try:
                return str(client.create_experiment(name, artifacts))
            except MlflowException:
                # On a server another process may have been faster.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise UserError(
                f"MLflow experiment {name} was deleted: restore it, or choose another "
                "`tracking.experiment`"
            )
        return str(found.experiment_id)

    def _runs(self, tags: Mapping[str, str]) -> "list[Run]":
        """Return the experiment's runs with all of these tags, oldest first."""
        client, experiment = self._place
        wanted = " and ".join(f"tags.`{name}` = '{text}'" for name, text in tags.items())
        return list(client.search_runs([experiment], wanted, order_by=["start_time ASC"]))

    def _child(
        self, parent: str, name: StageName, artifact: Artifact, manifest: Manifest
    ) -> "tuple[Run, bool]":
        """Return the run of an artifact and whether it is still to be filled.

        A finished one of any benchmark; else one that this benchmark left unfinished; else new.
        """
        client, experiment = self._place
        runs = self._runs({"sane.key": manifest.key, "sane.artifact": artifact.digest})
        for run in runs:
            if run.info.status == "FINISHED":
                return run, False
        for run in runs:
            if run.data.tags.get(PARENT) == parent:
                return run, True
        began = _now() - round(1000 * manifest.seconds)
        tags = stage_tags(parent, name, artifact, manifest)
        return client.create_run(experiment, began, tags, run_name=name.label), True

    def _add(self, run: str, content: Content) -> None:
        """Log what a run does not hold yet.

        The first point of a metric carries the start of the run as its time: where two threads
        or processes log the same, MLflow itself keeps one.
        """
        from mlflow.entities import Metric, Param, RunTag

        client, _ = self._place
        there = client.get_run(run)
        known, began = there.data, there.info.start_time
        metrics = [
            Metric(name, value, _now() if name in known.metrics else began, 0)
            for name, value in content.metrics.items()
            if known.metrics.get(name) != value
        ]
        new = content.parameters.items()
        parameters = [Param(name, text) for name, text in new if name not in known.params]
        marks = content.tags.items()
        tags = [RunTag(name, text) for name, text in marks if known.tags.get(name) != text]
        for at in range(0, max(len(metrics), len(parameters), len(tags)), _BATCH):
            part = slice(at, at + _BATCH)
            client.log_batch(run, metrics[part], parameters[part], tags[part], synchronous=True)

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """Turn what goes wrong with a place into one sentence with the remedy."""
        try:
            yield
        except SaneError:
            raise
        # Missing drivers, migrations and connections: each has exceptions of its own.
        except Exception as error:
            reason, uri = _reason(error), self.config.uri
            remedy = "choose another `tracking.uri`"
            if "out-of-date database schema" in reason:
                reason = "it was made by another version of MLflow"
                remedy = f"copy it, then run `mlflow db upgrade {uri}`; or {remedy}"
            raise UserError(f"MLflow ({uri}) cannot be opened ({reason}): {remedy}") from error

    @contextmanager
    def _named(self, trouble: str) -> Iterator[None]:
        """Turn what MLflow, its database or its server raise into one sentence."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason, uri = _reason(error), self.config.uri
            if any(text in reason.lower() for text in _FULL):
                raise DiskFull(f"no space left for MLflow ({uri}): free some space") from error
            raise SaneError(f"MLflow ({uri}): {trouble} ({reason})") from error


@contextmanager
def reading(config: TrackingConfig) -> "Iterator[MlflowClient]":
    """Give a client of a place that is there already; neither place nor experiment is made.

    Args:
        config: Where MLflow keeps its database; the experiment is not looked at.

    Raises:
        UserError: The place cannot be opened.
        SaneError: MLflow failed while it was read.
    """
    tracking = Tracking(config)
    uri = tracking.config.uri
    client_type = _quiet_client()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if is_server(uri):
        check_server(uri)
    elif file := database_file(uri):
        _check_is_there(file)
    with tracking._opening():
        client = client_type(tracking_uri=uri, registry_uri=uri)
    with tracking._named("it could not be read"):
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


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _quiet_client() -> "type[MlflowClient]":
    """Import MLflow without its log noise, its tracebacks and its calls home."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    for name, level in (("mlflow", logging.WARNING), ("mlflow.store.db.utils", logging.CRITICAL)):
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def _now() -> int:
    """Return the time in milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
