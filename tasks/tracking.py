"""MLflow, and the only module that imports it: a run per flow run, a child run per stage.

Everything is idempotent: a second `start` of a flow run gives the same run, an artifact that was
recorded once gets no second child, and no metric's history is ever doubled. A cached stage is
recorded from its manifest, so that every run is complete and runs compare as they are. A stage that
is watched has its child from the start (`tasks/tracking_live.py`), and its curves in the end,
watched or not.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from schemas.config.benchmark import TrackingConfig
from schemas.errors import SaneError, UserError
from schemas.records import Artifact, Manifest
from tasks.locks import file_lock
from tasks.tracking_content import (
    PARENT,
    Content,
    Point,
    StageName,
    artifact_tags,
    benchmark_content,
    benchmark_tags,
    stage_content,
    stage_tags,
)
from tasks.tracking_failures import naming, opening
from tasks.tracking_names import flat_parameters, flat_tags, split_metrics
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
        flow = {"prefect.flow_run_id": flow_run.id} if flow_run else None
        return self.open_run(name, flow, benchmark_tags(flow_run), parameters)

    def open_run(
        self,
        name: str,
        identity: Mapping[str, str] | None,
        tags: Mapping[str, str],
        parameters: BaseModel | Mapping[str, object],
        finished: bool = True,
    ) -> str:
        """Return the run of an identity, running: the one that is there, or a new one.

        Args:
            name: What a new run is called.
            identity: Tags that it is found by; None for a new one every time.
            tags: Further tags, which it gets.
            parameters: A configuration, nested; it is flattened to dotted names.
            finished: Whether a run that has come to its end is gone on with.

        Raises:
            SaneError: MLflow failed.
        """
        client, experiment = self._place
        with naming(self.config.uri, f"run {name} could not be started"):
            runs = self._runs(identity) if identity else []
            runs = [run for run in runs if finished or run.info.status != "FINISHED"]
            if runs:
                run = runs[0]
                client.update_run(run.info.run_id, status="RUNNING")
            else:
                run = client.create_run(
                    experiment, tags={**tags, **(identity or {})}, run_name=name
                )
            content = Content(parameters=flat_parameters(parameters), tags=tags)
            self._add(run.info.run_id, content)
        return str(run.info.run_id)

    def open_stage(
        self, parent: str, stage: str, zoo: str | None, key: str, variant: str | None = None
    ) -> str:
        """Return the child of a stage that is about to run; a retry goes on in the one it has.

        Args:
            parent: Run of the benchmark.
            stage: Name of the stage.
            zoo: Zoo that it works on; None if on all of them.
            key: The stage key.
            variant: Of an ablation, that it works for.

        Raises:
            SaneError: MLflow failed.
        """
        name = StageName(stage, zoo, variant)
        identity = {PARENT: parent, "sane.key": key}
        return self.open_run(name.label, identity, stage_tags(parent, name, key), {}, False)

    def record_stage(
        self,
        parent: str,
        stage: str,
        zoo: str | None,
        artifact: Artifact,
        manifest: Manifest,
        cached: bool,
        variant: str | None = None,
        curves: Callable[[], Iterable[Point]] = tuple,
    ) -> str | None:
        """Record a stage; call it as often as you like.

        Args:
            parent: Run of the benchmark; it gets the metrics too.
            stage: Name of the stage.
            zoo: Zoo that it worked on; None if on all of them.
            artifact: What it made or found.
            manifest: The artifact's manifest.
            cached: Whether the artifact was there already.
            variant: Of an ablation, that it worked for.
            curves: Gives the points of the artifact's history; those that were logged while the
                stage ran are not logged again.

        Returns:
            The child run that was written; None if the artifact had a finished one.

        Raises:
            SaneError: MLflow failed.
        """
        name = StageName(stage, zoo, variant)
        with naming(self.config.uri, f"stage {name.label} could not be recorded"):
            child, unfinished = self._child(parent, name, artifact, manifest)
            run = str(child.info.run_id)
            if unfinished:
                points = list(curves())
                drawn = {point.metric for point in points}
                self._add(run, stage_content(artifact, manifest, drawn))
                self._add_points(run, points, child.info.start_time)
                self._place[0].set_terminated(run, "FINISHED", end_time=_now())
                self._end_stale(run, manifest.key)
            # A retry finds in the store what its own first attempt made: that is no cache hit.
            made_here = not unfinished and child.data.tags.get(PARENT) == parent
            source = run if cached and not made_here else None
            self._add(parent, benchmark_content(name, manifest, source, self._zoos))
        return run if unfinished else None

    def log_points(self, run: str, points: Iterable[Point]) -> None:
        """Add points to curves; a point of a metric and step that is there already is left out.

        Raises:
            SaneError: MLflow failed.
        """
        with naming(self.config.uri, f"curves of run {run} could not be recorded"):
            self._add_points(run, points, _now())

    def add(self, run: str, metrics: Mapping[str, float], tags: Mapping[str, object]) -> None:
        """Log metrics and tags that a run does not hold yet.

        Raises:
            SaneError: MLflow failed.
        """
        finite, not_finite = split_metrics(metrics)
        with naming(self.config.uri, f"run {run} could not be written"):
            self._add(run, Content(finite, tags=flat_tags(tags) | not_finite))

    def running_children(self, parent: str) -> dict[str, Mapping[str, str]]:
        """Return the tags of a run's children that have not ended.

        Raises:
            SaneError: MLflow failed.
        """
        with naming(self.config.uri, f"children of run {parent} could not be read"):
            children = self._runs({PARENT: parent})
        running = [run for run in children if run.info.status == "RUNNING"]
        return {run.info.run_id: run.data.tags for run in running}

    def end_stale(self, run: str, key: str) -> None:
        """End the children that killed runs left of a stage that runs here.

        Args:
            run: The child that stays.
            key: The stage key.

        Raises:
            SaneError: MLflow failed.
        """
        with naming(self.config.uri, f"what was left beside run {run} could not be ended"):
            self._end_stale(run, key)

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
            with naming(self.config.uri, f"{source} could not be copied"):
                log(run, str(source), to)

    def finish(self, run: str, status: Status = "FINISHED") -> None:
        """Say how a run ended.

        Raises:
            SaneError: MLflow failed.
        """
        with naming(self.config.uri, f"run {run} could not be finished"):
            self._place[0].set_terminated(run, status)

    def link(self, run: str) -> RunLink:
        """Return where a run is found, for the orchestrator's side."""
        return run_link(self.config, self._place[1], run)

    @cached_property
    def _place(self) -> "tuple[MlflowClient, str]":
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
        Where there is a finished one, a child that was opened for nothing is taken back.
        """
        client, experiment = self._place
        mine = None
        finished = None
        for run in self._runs({"sane.key": manifest.key}):
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
        began = _now() - round(1000 * manifest.seconds)
        tags = stage_tags(parent, name, manifest.key) | artifact_tags(artifact, manifest)
        return client.create_run(experiment, began, tags, run_name=name.label), True

    def _end_stale(self, run: str, key: str) -> None:
        for other in self._runs({"sane.key": key}):
            if other.info.run_id != run and other.info.status == "RUNNING":
                self._place[0].set_terminated(other.info.run_id, "KILLED")

    def _add_points(self, run: str, points: Iterable[Point], when: int) -> None:
        """Log the points of metrics and steps that are not there; `when` is their time."""
        from mlflow.entities import Metric

        client, _ = self._place
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


def quiet_client() -> "type[MlflowClient]":
    """Import MLflow without its log noise, its tracebacks and its calls home."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    for name, level in (("mlflow", logging.WARNING), ("mlflow.store.db.utils", logging.CRITICAL)):
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def _now() -> int:
    """Return the time in milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
