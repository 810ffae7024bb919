"""What MLflow is told of a benchmark: a run per flow run, a child run per stage.

Everything is idempotent: a second `start` of a flow run gives the same run, an artifact that was
recorded once gets no second child, and no metric's history is ever doubled. A cached stage is
recorded from its manifest, so that every run is complete and runs compare as they are. A stage that
is watched has its child from the start (`tasks/tracking_live.py`), and its curves in the end,
watched or not.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from schemas.config.benchmark import TrackingConfig
from schemas.errors import SaneError
from schemas.records import Artifact, Manifest
from tasks.tracking_content import (
    PARENT,
    Content,
    Point,
    StageName,
    benchmark_content,
    benchmark_tags,
    stage_content,
    stage_tags,
)
from tasks.tracking_experiment import Experiment, now
from tasks.tracking_failures import naming
from tasks.tracking_names import flat_parameters, flat_tags, split_metrics
from tasks.tracking_places import FlowRunRef, RunLink, run_link

Status = Literal["FINISHED", "FAILED", "KILLED"]


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
        self._experiment = Experiment(config)
        self.config = self._experiment.config
        self._zoos = zoos

    def prepare(self) -> None:
        """Make database and experiment, once; call it before any fan-out.

        Raises:
            UserError: The database, the server or the experiment cannot be used, and why.
        """
        _ = self._experiment.place

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
        with naming(self.config.uri, f"run {name} could not be started"):
            run = self._experiment.running(name, identity, tags, finished)
            self._experiment.add(run, Content(parameters=flat_parameters(parameters), tags=tags))
        return run

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
            child, unfinished = self._experiment.child(parent, name, artifact, manifest)
            run = str(child.info.run_id)
            if unfinished:
                points = list(curves())
                drawn = {point.metric for point in points}
                self._experiment.add(run, stage_content(artifact, manifest, drawn))
                self._experiment.add_points(run, points, child.info.start_time)
                self._experiment.place[0].set_terminated(run, "FINISHED", end_time=now())
                self._experiment.end_stale(run, manifest.key)
            # A retry finds in the store what its own first attempt made: that is no cache hit.
            made_here = not unfinished and child.data.tags.get(PARENT) == parent
            source = run if cached and not made_here else None
            self._experiment.add(parent, benchmark_content(name, manifest, source, self._zoos))
        return run if unfinished else None

    def log_points(self, run: str, points: Iterable[Point]) -> None:
        """Add points to curves; a point of a metric and step that is there already is left out.

        Raises:
            SaneError: MLflow failed.
        """
        with naming(self.config.uri, f"curves of run {run} could not be recorded"):
            self._experiment.add_points(run, points, now())

    def add(self, run: str, metrics: Mapping[str, float], tags: Mapping[str, object]) -> None:
        """Log metrics and tags that a run does not hold yet.

        Raises:
            SaneError: MLflow failed.
        """
        finite, not_finite = split_metrics(metrics)
        with naming(self.config.uri, f"run {run} could not be written"):
            self._experiment.add(run, Content(finite, tags=flat_tags(tags) | not_finite))

    def running_children(self, parent: str) -> dict[str, Mapping[str, str]]:
        """Return the tags of a run's children that have not ended.

        Raises:
            SaneError: MLflow failed.
        """
        with naming(self.config.uri, f"children of run {parent} could not be read"):
            children = self._experiment.runs({PARENT: parent})
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
            self._experiment.end_stale(run, key)

    def log_files(self, run: str, *sources: Path, to: str | None = None) -> None:
        """Copy files onto a run, over what is there.

        Args:
            run: The run.
            sources: A file lands at `to/<its name>`; of a folder, what is in it lands in `to`.
            to: Folder within the run's artifacts; their root if None.

        Raises:
            SaneError: A source is missing, or MLflow failed.
        """
        client, _ = self._experiment.place
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
            self._experiment.place[0].set_terminated(run, status)

    def link(self, run: str) -> RunLink:
        """Return where a run is found, for the orchestrator's side."""
        return run_link(self.config, self._experiment.place[1], run)
