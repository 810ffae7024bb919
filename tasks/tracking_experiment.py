"""An experiment of MLflow, and the only module that imports it: what is in it, and what is added.

Nothing is ever there twice: a metric, a parameter or a point that a run holds already is left out.
"""

import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

from schemas.config.benchmark import TrackingConfig
from schemas.errors import UserError
from schemas.records import Artifact, Manifest
from tasks.locks import file_lock
from tasks.tracking_content import PARENT, Content, Point, StageName, artifact_tags, stage_tags
from tasks.tracking_failures import opening
from tasks.tracking_places import check_database, check_server, database_file, is_server, resolve

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_BATCH = 100


class Experiment:
    """An experiment in a database or on a server; safe to share by threads.

    What MLflow raises goes through; who asks says what could not be done.
    """

    def __init__(self, config: TrackingConfig) -> None:
        """Name the place; nothing is opened yet, and MLflow is not imported.

        Args:
            config: Where MLflow keeps its database and artifacts.

        Raises:
            UserError: The place cannot hold runs.
        """
        self.config = resolve(config)

    @cached_property
    def place(self) -> "tuple[MlflowClient, str]":
        """The client and the experiment's id."""
        client_type = quiet_client()
        lock: AbstractContextManager[object] = nullcontext()
        if is_server(self.config.uri):
            check_server(self.config.uri)
        elif file := database_file(self.config.uri):
            check_database(file)
            # Processes that migrate one database at once break it.
            lock = file_lock(file.with_name(f"{file.name}.lock"))
        with opening(self.config.uri), lock:
            client = client_type(tracking_uri=self.config.uri, registry_uri=self.config.uri)
            return client, self._named(client)

    def _named(self, client: "MlflowClient") -> str:
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

    def runs(self, tags: Mapping[str, str]) -> "list[Run]":
        """Return the experiment's runs with all of these tags, oldest first."""
        client, experiment = self.place
        wanted = " and ".join(f"tags.`{name}` = '{text}'" for name, text in tags.items())
        return list(client.search_runs([experiment], wanted, order_by=["start_time ASC"]))

    def running(
        self,
        name: str,
        identity: Mapping[str, str] | None,
        tags: Mapping[str, str],
        finished: bool,
    ) -> str:
        """Return the run of an identity, running: the one that is there, or a new one.

        Arguments are those of `Tracking.open_run`.
        """
        client, experiment = self.place
        runs = self.runs(identity) if identity else []
        runs = [run for run in runs if finished or run.info.status != "FINISHED"]
        if not runs:
            tags = {**tags, **(identity or {})}
            return str(client.create_run(experiment, tags=tags, run_name=name).info.run_id)
        client.update_run(runs[0].info.run_id, status="RUNNING")
        return str(runs[0].info.run_id)

    def child(
        self, parent: str, name: StageName, artifact: Artifact, manifest: Manifest
    ) -> "tuple[Run, bool]":
        """Return the run of an artifact and whether it is still to be filled.

        A finished one of any benchmark; else one that this benchmark left unfinished; else new.
        Where there is a finished one, a child that was opened for nothing is taken back.
        """
        client, experiment = self.place
        mine = None
        finished = None
        for run in self.runs({"sane.key": manifest.key}):
            made = run.data.tags.get("sane.artifact")
            if run.info.status == "FINISHED":
                finished = finished or (run if made == artifact.digest else None)
            elif run.data.tags.get(PARENT) == parent and made in (None, artifact.digest):
                mine = mine or run
        if finished:
            if mine:
                client.delete_run(mine.info.run_id)
            return finished, False
        if mine:
            return mine, True
        began = now() - round(1000 * manifest.seconds)
        tags = stage_tags(parent, name, manifest.key) | artifact_tags(artifact, manifest)
        return client.create_run(experiment, began, tags, run_name=name.label), True

    def end_stale(self, run: str, key: str) -> None:
        """End the other runs of a stage key that have not ended."""
        for other in self.runs({"sane.key": key}):
            if other.info.run_id != run and other.info.status == "RUNNING":
                self.place[0].set_terminated(other.info.run_id, "KILLED")

    def add_points(self, run: str, points: Iterable[Point], when: int) -> None:
        """Log the points of metrics and steps that are not there; `when` is their time."""
        from mlflow.entities import Metric

        client, _ = self.place
        there = client.get_run(run).data.metrics
        known: dict[str, set[int]] = {}
        new = []
        for metric, step, value in points:
            if metric not in known:
                history = client.get_metric_history(run, metric) if metric in there else []
                known[metric] = {point.step for point in history}
            if step not in known[metric]:
                known[metric].add(step)
                new.append(Metric(metric, value, when, step))
        for at in range(0, len(new), _BATCH):
            client.log_batch(run, new[at : at + _BATCH], synchronous=True)

    def add(self, run: str, content: Content) -> None:
        """Log what a run does not hold yet.

        The first point of a metric carries the start of the run as its time: where two threads
        or processes log the same, MLflow itself keeps one.
        """
        from mlflow.entities import Metric, Param, RunTag

        client, _ = self.place
        there = client.get_run(run)
        known, began = there.data, there.info.start_time
        metrics = [
            Metric(name, value, now() if name in known.metrics else began, 0)
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


def quiet_client() -> "type[MlflowClient]":
    """Import MLflow without its log noise, its tracebacks and its calls home."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    for name, level in (("mlflow", logging.WARNING), ("mlflow.store.db.utils", logging.CRITICAL)):
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def now() -> int:
    """Return the time in milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
