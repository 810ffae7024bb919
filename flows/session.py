"""What one flow run keeps in hand: the tracked run, the stages done and what they cost."""

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_UI_URL

from flows.places import check_places, report_folder
from sane_core.reporting.costs import StageCost
from schemas.config.benchmark import BenchmarkConfig
from schemas.records import Artifact, Manifest, Record
from tasks.publish import ZooReport, markdown_summary, publish_page
from tasks.stage import Place, Stage
from tasks.store import Store
from tasks.tracking import Status, Tracking
from tasks.tracking_places import FlowRunRef

LOGGED = ("model", "probes", "generation")
"""Stages whose files are copied to MLflow: small, and what people load or plot."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of one zoo, done.

    Attributes:
        zoo: Name of the zoo.
        stage: Name of the stage.
        artifact: What it made.
        manifest: Its manifest; `seconds` is what it cost when it was made.
        cached: Whether it was there already.
    """

    zoo: str
    stage: str
    artifact: Artifact
    manifest: Manifest
    cached: bool


@dataclass
class Session:
    """One run of the benchmark; a context manager that closes the tracked run with its outcome."""

    config: BenchmarkConfig
    records: list[StageRecord] = field(default_factory=list)

    def __enter__(self) -> "Session":
        self.place = Place(store=self.config.store, seed=self.config.seed)
        self.store = Store(self.config.store)
        check_places(self.config)
        self.tracking = Tracking(self.config.tracking, zoos=len(self.config.zoos))
        self.tracking.prepare()
        self.parent = self.tracking.start(self.config.name, _flow_run(), self.config)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.tracking.finish(self.parent, _outcome(error))

    def for_zoo(self, name: str) -> "ZooRun":
        """Return what runs the stages of one zoo."""
        return ZooRun(self, name)

    def publish(self, reports: list[ZooReport]) -> Path:
        """Write the page and `results.json`, and log both with all figures and tables."""
        provenance = {
            "flow run": str(_flow_run().id),
            "mlflow run": self.parent,
            "store": self.store.uri,
        }
        out = report_folder(self.config)
        page = publish_page(out, self.config, reports, self.costs(), provenance)
        self.tracking.log_files(self.parent, out)
        create_markdown_artifact(
            key=f"sane-{self.config.name}",
            markdown=markdown_summary(self.config, reports, page, self.tracking.link(self.parent)),
            description="Headline numbers, the report and the MLflow run",
        )
        return page

    def costs(self) -> list[StageCost]:
        """Return what every stage cost."""
        return [StageCost(r.zoo, r.stage, r.manifest.seconds, r.cached) for r in self.records]


@dataclass
class ZooRun:
    """Runs the stages of one zoo: `run(stage, config, **inputs) -> Artifact`."""

    session: Session
    zoo: str

    def __call__(self, stage: Stage, config: Record, **inputs: Artifact) -> Artifact:
        """Run a stage as a Prefect task, and track it."""
        session = self.session
        cached = stage.find(config, at=session.place, **inputs) is not None
        label = f"{self.zoo}.{stage.name}"
        artifact = stage.submit(config, at=session.place, label=label, **inputs)
        manifest = session.store.manifest(artifact)
        record = StageRecord(self.zoo, stage.name, artifact, manifest, cached)
        session.records.append(record)
        child = session.tracking.record_stage(
            session.parent, stage.name, self.zoo, artifact, manifest, cached
        )
        if child and stage.name in LOGGED:
            session.tracking.log_files(child, session.store.open(artifact).folder, to=stage.name)
        how = "was there already" if cached else f"took {manifest.seconds:.1f} s"
        get_run_logger().info("%s of %s %s: %s", stage.name, self.zoo, how, artifact.digest[:12])
        return artifact

    def report(self, drawn: Artifact) -> ZooReport:
        """Return what the page needs of this zoo."""
        mine = [record for record in self.session.records if record.zoo == self.zoo]
        return ZooReport(
            zoo=self.zoo,
            folder=self.session.store.open(drawn).folder,
            metrics={
                name: value for record in mine for name, value in record.manifest.metrics.items()
            },
            facts={name: value for record in mine for name, value in record.manifest.facts.items()},
            digests={record.stage: record.artifact.digest for record in mine},
        )


def _outcome(error: BaseException | None) -> Status:
    """Return how a run ended; what is no `Exception` came from outside, as a cancellation does."""
    if error is None:
        return "FINISHED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def _flow_run() -> FlowRunRef:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a session belongs to a flow run")
    run = context.flow_run
    server = PREFECT_UI_URL.value()
    return FlowRunRef(id=str(run.id), url=f"{server}/runs/flow-run/{run.id}" if server else None)
