"""An MLflow experiment as a zoo: a run is a member, its logged checkpoints are its epochs.

Nothing of an artifact is ever run: state dicts and safetensors are read, whatever MLflow logged as
a model of its own (a pickled module) is refused. `docs/mlflow-zoo.md` has the tables of names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.readers.name_pattern import NamePattern
from sane_core.zoo.readers.reader import LAYOUT, METRICS, Found, Rejected, ScanOptions
from sane_core.zoo.readers.safetensors_folder import SUFFIX
from sane_core.zoo.readers.sources import state_lines
from schemas.config.benchmark import TrackingConfig
from schemas.errors import SaneError, UserError
from tasks.tracking_places import resolve
from tasks.tracking_reading import reading
from tasks.tracking_zoo_artifacts import download, is_index
from tasks.tracking_zoo_checkpoints import (
    LOG_WEIGHTS,
    Checkpoint,
    checkpoints_of,
    rejected_model,
)
from tasks.tracking_zoo_epochs import History
from tasks.tracking_zoo_metrics import Logged, logged_at
from tasks.tracking_zoo_runs import Run, experiment_named, logged_models, runs_of

PREFIX = "mlflow:"


class _Member(NamedTuple):
    """What of a run becomes part of the zoo."""

    run: Run
    checkpoints: Sequence[Checkpoint]
    rejected: Sequence[Rejected]
    logged: Logged


@dataclass(frozen=True)
class MlflowZoo:
    """Reads `mlflow:NAME` and `mlflow:ID`.

    Attributes:
        config: Where MLflow is; its experiment is not looked at.
        metric_names: Metric as the experiment calls it -> one of `METRICS`, before the table.
        limits: Bounds on one checkpoint, and on what is downloaded for it.
    """

    config: TrackingConfig = TrackingConfig()
    metric_names: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    name: str = "mlflow"
    specificity: int = LAYOUT

    def __post_init__(self) -> None:
        for name, metric in self.metric_names.items():
            if metric not in METRICS:
                raise UserError(
                    f"metric {name!r} must stand for one of {', '.join(METRICS)}, got {metric!r}"
                )

    def recognises(self, source: str) -> bool:
        """Whether it names an experiment."""
        return source.startswith(PREFIX)

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find the checkpoints of every run, runs by start and epochs ascending.

        Raises:
            UserError: There is no such experiment, nothing in it, or MLflow cannot be opened.
            SaneError: MLflow failed.
        """
        yield from self._scan(source, options)[1]

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give everything a scan says, when runs ended, and when local files changed."""
        runs, entries = self._scan(source, options)
        yield resolve(self.config).uri
        yield from (f"{run.name}\x1f{run.ended}" for run in runs)
        for entry in entries:
            yield repr(_sorted(entry))
            if isinstance(entry, Found) and entry.path.is_absolute():
                shards = entry.path.parent.glob(f"*{SUFFIX}") if is_index(entry.path) else ()
                yield from state_lines([entry.path, *sorted(shards)], entry.path.parent)

    def read(self, found: Found) -> Contents:
        """Read a checkpoint, where it lies or from a temporary folder it is downloaded to."""
        if found.path.is_absolute():
            return read_tensors(found.path, self.limits)
        if found.bytes > self.limits.bytes:
            raise Refused(
                f"a checkpoint must have at most {self.limits.bytes} bytes, got {found.bytes}",
                "Leave it out",
            )
        run, *artifact = found.path.parts
        with TemporaryDirectory(prefix="sane-mlflow-") as folder:
            try:
                with reading(self.config) as client:
                    place = PurePosixPath(*artifact)
                    path = download(client, run, place, Path(folder), self.limits)
            except SaneError as error:
                raise Refused(
                    f"the artifact must be there to download, got: {error}",
                    "Check the tracking server and its artifact store, then ingest again",
                ) from error
            return read_tensors(path, self.limits)

    def _scan(self, source: str, options: ScanOptions) -> tuple[list[Run], list[Found | Rejected]]:
        if options.table:
            raise UserError(
                f"a table cannot stand beside an experiment, got {options.table!r}; leave out "
                "table, and log what is in it as parameters"
            )
        uri = resolve(self.config).uri
        pattern = NamePattern(options.pattern) if options.pattern else None
        with reading(self.config) as client:
            experiment = experiment_named(client, source.removeprefix(PREFIX), uri)
            runs = runs_of(client, experiment.experiment_id)
            members = [self._member(run, pattern) for run in runs]
        entries = list(_entries(members, logged_models(self.config, experiment.experiment_id)))
        if not entries:
            what = f"{len(members)} runs and no checkpoint in them" if members else "none"
            raise UserError(
                f"MLflow experiment {experiment.name!r} ({uri}) must have runs with checkpoints, "
                f"got {what}; {LOG_WEIGHTS}"
            )
        return [member.run for member in members], entries

    def _member(self, run: Run, pattern: NamePattern | None) -> _Member:
        """Find a run's checkpoints, and join its metrics to them."""
        checkpoints, rejected = checkpoints_of(run, pattern)
        epochs = {checkpoint.epoch for checkpoint in checkpoints}
        logged = logged_at(epochs, run.history, self.metric_names)
        # Of all runs at once, histories and lists of files may be too large to keep.
        return _Member(replace(run, files=(), history=History()), checkpoints, rejected, logged)


def _entries(
    members: Iterable[_Member], models: Mapping[str | None, Sequence[str]]
) -> Iterator[Found | Rejected]:
    """Yield what is in the runs, and the models of MLflow 3 that belong to each and to none."""
    # One per cent, a network at chance, would be all right answers in a run of its own.
    percent = {name for member in members for name in member.logged.percent}
    left = dict(models)
    for member in members:
        yield from member.rejected
        yield from (rejected_model(model, member.run) for model in left.pop(member.run.id, ()))
        yield from _found(member, percent)
    yield from (rejected_model(model, None) for rest in left.values() for model in rest)


def _found(member: _Member, percent: set[str]) -> Iterator[Found]:
    """Yield the checkpoints of a run with what was logged at their epochs."""
    run = member.run
    for file, epoch, properties in sorted(
        member.checkpoints, key=lambda checkpoint: (checkpoint.epoch, checkpoint.file.path)
    ):
        metrics, others = member.logged.at(epoch, percent)
        yield Found(
            run=run.name,
            epoch=epoch,
            path=file.local or Path(run.id, file.path),
            file=f"{run.id}/{file.path}",
            number=run.number,
            bytes=file.bytes,
            properties={**others, **run.parameters, **properties},
            metrics=metrics,
            licence=run.licence,
        )


def _sorted(entry: Found | Rejected) -> object:
    """Return everything of an entry in an order that does not depend on the server's."""
    if isinstance(entry, Rejected):
        return entry
    return replace(
        entry,
        properties=dict(sorted(entry.properties.items())),
        metrics=dict(sorted(entry.metrics.items())),
    )
