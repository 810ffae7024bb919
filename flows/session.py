"""What one flow run keeps in hand: the tracked run, the stages done and what they cost."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_UI_URL

from flows.places import check_places, report_folder
from sane_core.reporting.costs import StageCost
from schemas.config.benchmark import BenchmarkConfig
from schemas.errors import SaneError
from schemas.records import Artifact, Manifest, Record
from tasks.live import Stopped, watching
from tasks.map import FILE as MAP
from tasks.publish import ZooReport, markdown_summary, publish_page
from tasks.stage import Place, Stage
from tasks.store import Store
from tasks.tracking import Status, Tracking
from tasks.tracking_content import Point
from tasks.tracking_live import CURVES, LiveStage, history
from tasks.tracking_places import FlowRunRef

TOGETHER = "together"
"""Where a zoo's name stands, for what was made of all zoos at once."""

LOGGED = (
    "model",
    "evaluation",
    "probes",
    "transfer",
    "sharpen",
    "generation",
    "transfer_learning",
    "ablation",
    "analysis",
    "analysis_together",
)
"""Stages whose files are copied to MLflow: small, and what people load or plot."""
LEFT_OUT = ("last.safetensors", "optimizer.safetensors")
"""Files that training goes on from: several times the model, and nobody's to look at."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of one zoo, done.

    Attributes:
        zoo: Name of the zoo.
        variant: Of an ablation; None outside.
        stage: Name of the stage.
        artifact: What it made.
        manifest: Its manifest; `seconds` is what it cost when it was made.
        cached: Whether it was there already.
    """

    zoo: str
    variant: str | None
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
        self.parent = self.start()
        return self

    def start(self) -> str:
        """Return the tracked run of this flow run."""
        return self.tracking.start(self.config.name, flow_run(), self.config)

    def under(self, run: str, config: BenchmarkConfig) -> "Session":
        """Return what runs stages of another configuration, as children of another tracked run."""
        other = Session(config)
        other.place = Place(store=config.store, seed=config.seed)
        other.store, other.tracking, other.parent = self.store, self.tracking, run
        return other

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.tracking.finish(self.parent, outcome(error))

    def for_zoo(self, name: str) -> "ZooRun":
        """Return what runs the stages of one zoo."""
        return ZooRun(self, name)

    def publish(self, reports: list[ZooReport]) -> Path:
        """Write the page and `results.json`, and log both with all figures and tables."""
        provenance = {
            "flow run": str(flow_run().id),
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
        return [
            StageCost(
                r.zoo,
                f"{r.variant}.{r.stage}" if r.variant else r.stage,
                r.manifest.seconds,
                r.cached,
            )
            for r in self.records
        ]


@dataclass
class ZooRun:
    """Runs the stages of one zoo: `run(stage, config, **inputs) -> Artifact`."""

    session: Session
    zoo: str
    variant: str | None = None

    def of(self, variant: str) -> "ZooRun":
        """Return what runs the stages of one variant of an ablation."""
        return replace(self, variant=variant)

    def __call__(self, stage: Stage, config: Record, **inputs: Artifact) -> Artifact:
        """Run a stage as a Prefect task, and track it."""
        session = self.session
        cached = stage.find(config, at=session.place, **inputs) is not None
        label = ".".join(part for part in (self.zoo, self.variant, stage.name) if part)
        key = stage.key(config, session.place, inputs)
        with nullcontext() if cached else self._watched(stage, key):
            artifact = stage.submit(config, at=session.place, label=label, **inputs)
        manifest = session.store.manifest(artifact)
        record = StageRecord(self.zoo, self.variant, stage.name, artifact, manifest, cached)
        session.records.append(record)
        child = session.tracking.record_stage(
            session.parent,
            stage.name,
            self.zoo,
            artifact,
            manifest,
            cached,
            self.variant,
            lambda: self._history(artifact),
        )
        if child and stage.name in LOGGED and self.variant is None:
            for path in sorted(session.store.open(artifact).folder.iterdir()):
                to = f"{stage.name}/{path.name}" if path.is_dir() else stage.name
                if path.name not in LEFT_OUT:
                    session.tracking.log_files(child, path, to=to)
        how = "was there already" if cached else f"took {manifest.seconds:.1f} s"
        get_run_logger().info("%s %s: %s", label, how, artifact.digest[:12])
        return artifact

    @contextmanager
    def _watched(self, stage: Stage, key: str) -> Iterator[None]:
        """Show a stage that has epochs in a run of its own, from its start."""
        if stage.name not in CURVES:
            yield
            return
        session, warn = self.session, get_run_logger().warning
        run = session.tracking.open_stage(session.parent, stage.name, self.zoo, key, self.variant)
        live = LiveStage(session.tracking, run, stage.name, key, warn)
        try:
            with watching(live.on_epoch):
                yield
        except BaseException as error:
            with suppress(SaneError):
                session.tracking.finish(run, outcome(error))
            raise

    def _history(self, artifact: Artifact) -> list[Point]:
        if artifact.kind not in CURVES:
            return []
        return history(artifact.kind, self.session.store.open(artifact).folder)

    def report(self, drawn: Artifact) -> ZooReport:
        """Return what the page needs of this zoo."""
        mine = [
            record
            for record in self.session.records
            if record.zoo in (self.zoo, TOGETHER) and record.variant is None
        ]
        maps = [
            self.session.store.open(record.artifact).folder / MAP
            for record in mine
            if record.stage == "map"
        ]
        return ZooReport(
            zoo=self.zoo,
            folder=self.session.store.open(drawn).folder,
            metrics={
                name: value for record in mine for name, value in record.manifest.metrics.items()
            },
            facts={name: value for record in mine for name, value in record.manifest.facts.items()},
            digests={record.stage: record.artifact.digest for record in mine},
            map=maps[-1] if maps else None,
        )


def outcome(error: BaseException | None) -> Status:
    """Return how a run ended; what was stopped from outside was killed."""
    if error is None:
        return "FINISHED"
    if isinstance(error, Stopped) or not isinstance(error, Exception):
        return "KILLED"
    return "FAILED"


def flow_run() -> FlowRunRef:
    """Return the flow run that this is called in."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a session belongs to a flow run")
    run = context.flow_run
    server = PREFECT_UI_URL.value()
    return FlowRunRef(id=str(run.id), url=f"{server}/runs/flow-run/{run.id}" if server else None)
