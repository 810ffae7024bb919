"""The runs of an MLflow experiment, sorted by start, with everything a zoo needs of them.

Runs that were deleted are left out; those that failed or still go on count as far as they got.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.formats.refused import printable
from sane_core.zoo.readers.reader import Rejected
from schemas.config.benchmark import TrackingConfig
from schemas.errors import SaneError, UserError
from tasks.tracking_reading import reading
from tasks.tracking_zoo_artifacts import File, artifacts_of, is_of_use
from tasks.tracking_zoo_epochs import History, points_of

if TYPE_CHECKING:
    from tasks.tracking_experiment import MlflowClient

_PAGE = 1000
"""Runs, models or experiments of one answer."""
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.A)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.A)
_TRUTH = {"True": 1, "true": 1, "False": 0, "false": 0}


@dataclass(frozen=True)
class Run:
    """A run, as MLflow has it.

    Attributes:
        id: MLflow's.
        name: `<run name>-<run id>`.
        number: Which it is by start and id.
        ended: When, in milliseconds since 1970; None while it goes on.
        licence: Its tag `licence` or `license`.
        parameters: Typed again.
        files: Its artifacts.
        refused: Artifacts that must not be looked at.
        history: Its metrics but those of the system; nothing where it has no checkpoint.
    """

    id: str
    name: str
    number: int
    ended: int | None
    licence: str | None
    parameters: Mapping[str, Property]
    files: Sequence[File]
    refused: Sequence[Rejected]
    history: History


def experiment_named(client: "MlflowClient", name: str, uri: str) -> Any:
    """Return an experiment by its name, else by its id.

    Args:
        client: Of the place.
        name: Name or id.
        uri: The place, for messages.

    Raises:
        UserError: There is none, or it was deleted.
    """
    found = client.get_experiment_by_name(name) if name else None
    if found is None:
        there = list(_pages(client.search_experiments))
        found = next((e for e in there if e.experiment_id == name), None)
        if found is None:
            names = ", ".join(repr(printable(e.name)) for e in there[:10]) or "none"
            raise UserError(
                f"MLflow ({uri}) must have the experiment named after mlflow:, got {name!r}; "
                f"there is {names}"
            )
    if found.lifecycle_stage != "active":
        raise UserError(f"MLflow experiment {name!r} ({uri}) was deleted: restore it first")
    return found


def runs_of(client: "MlflowClient", experiment: str) -> Iterator[Run]:
    """Yield the runs of an experiment by start and id."""
    pages = _pages(client.search_runs, [experiment], order_by=["attributes.start_time ASC"])
    # A run that starts meanwhile may shift another onto two pages.
    runs = {run.info.run_id: run for run in pages}
    by_start = sorted(runs.values(), key=lambda run: (run.info.start_time or 0, run.info.run_id))
    for number, run in enumerate(by_start):
        yield _run(client, run, number)


def logged_models(config: TrackingConfig, experiment: str) -> dict[str | None, list[str]]:
    """Return run -> ids of its models of MLflow 3; a server before that has none."""
    try:
        with reading(config) as client:
            models = list(_pages(client.search_logged_models, [experiment]))
    except SaneError:
        return {}
    found: dict[str | None, list[str]] = {}
    for model in sorted(models, key=lambda model: (model.creation_timestamp, model.model_id)):
        found.setdefault(model.source_run_id, []).append(model.model_id)
    return found


def typed(text: str) -> Property:
    """Return a parameter, which MLflow keeps as text, as the number it was."""
    if text in _TRUTH:
        return _TRUTH[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if len(text) <= 40 and _FLOAT.fullmatch(text) else text


def _run(client: "MlflowClient", run: Any, number: int) -> Run:
    info, tags = run.info, run.data.tags
    name = f"{printable(info.run_name or 'run', 120)}-{info.run_id}"
    listed = list(artifacts_of(client, info.run_id, info.artifact_uri))
    files = [entry for entry in listed if isinstance(entry, File)]
    keys = sorted(run.data.metrics) if any(is_of_use(file.path) for file in files) else ()
    return Run(
        id=info.run_id,
        name=name,
        number=number,
        ended=info.end_time,
        licence=tags.get("licence") or tags.get("license"),
        parameters={key: typed(text) for key, text in run.data.params.items()},
        files=files,
        refused=[
            replace(entry, file=f"{info.run_id}/{entry.file}", run=name)
            for entry in listed
            if isinstance(entry, Rejected)
        ],
        history=History(
            {
                key: points_of(client.get_metric_history(info.run_id, key))
                for key in keys
                if not key.startswith("system/")
            }
        ),
    )


def _pages(search: Callable[..., Any], *wanted: object, **options: object) -> Iterator[Any]:
    """Yield what all pages of an answer hold."""
    token = None
    while True:
        page = search(*wanted, max_results=_PAGE, page_token=token, **options)
        yield from page
        token = page.token
        if not token:
            return
