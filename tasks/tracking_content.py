"""What is written on the runs: of a benchmark, and of each of its stages.

The same manifest gives the same content, whether its stage ran or was found in the store.
"""

from collections.abc import Container, Mapping
from typing import NamedTuple

from schemas.records import Artifact, Manifest
from tasks.tracking_names import flat_parameters, flat_tags, split_metrics
from tasks.tracking_places import FlowRunRef

PARENT = "mlflow.parentRunId"


class Content(NamedTuple):
    """Metrics, parameters and tags as MLflow takes them."""

    metrics: Mapping[str, float] = {}
    parameters: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}


class Point(NamedTuple):
    """A point of a curve: a metric at a step, such as an epoch."""

    metric: str
    step: int
    value: float


class StageName(NamedTuple):
    """A stage, the zoo it worked on (none if on all of them) and the variant of an ablation."""

    stage: str
    zoo: str | None
    variant: str | None = None

    @property
    def label(self) -> str:
        """What its run is called."""
        return ".".join(part for part in (self.zoo, self.variant, self.stage) if part)


def benchmark_tags(flow_run: FlowRunRef | None) -> dict[str, str]:
    """Return the tags of a benchmark's run, with the way back to its flow run."""
    tags: dict[str, object] = {"sane.kind": "benchmark", "mlflow.source.name": "sane"}
    if flow_run:
        link = f"[{flow_run.id}]({flow_run.url})" if flow_run.url else flow_run.id
        tags["prefect.flow_run_id"] = flow_run.id
        tags["prefect.flow_run_url"] = flow_run.url
        tags["mlflow.note.content"] = f"Prefect flow run {link}"
    return flat_tags(tags)


def stage_tags(parent: str, name: StageName, key: str) -> dict[str, str]:
    """Return the tags that a stage's run has from its first moment, and is found by."""
    tags = {
        PARENT: parent,
        "mlflow.source.name": "sane",
        "sane.kind": "stage",
        "sane.stage": name.stage,
        "sane.zoo": name.zoo,
        "sane.variant": name.variant,
        "sane.key": key,
    }
    return flat_tags(tags)


def artifact_tags(artifact: Artifact, manifest: Manifest) -> dict[str, str]:
    """Return the tags of what a stage made."""
    tags = {
        "mlflow.source.git.commit": manifest.git_revision,
        "sane.artifact": artifact.digest,
        "sane.uri": artifact.uri,
    }
    return flat_tags(tags)


def stage_content(artifact: Artifact, manifest: Manifest, drawn: Container[str] = ()) -> Content:
    """Return what a stage's own run shows: its configuration, its metrics, its lineage.

    Args:
        artifact: What the stage made.
        manifest: The artifact's manifest.
        drawn: Metrics that have a curve in the run. What the manifest says of them is the value
            of the best epoch and stands as `best.<metric>`: a curve ends with its last epoch.
    """
    named = {f"best.{m}" if m in drawn else m: value for m, value in manifest.metrics.items()}
    measured = {"seconds": manifest.seconds, **manifest.timings, **named}
    metrics, not_finite = split_metrics(measured)
    facts = {f"fact.{name}": text for name, text in manifest.facts.items()}
    inputs = {f"input.{name}": given.digest for name, given in manifest.inputs.items()}
    versions = {f"version.{name}": text for name, text in manifest.versions.items()}
    parameters = flat_parameters({"seed": manifest.seed, **manifest.config})
    tags = artifact_tags(artifact, manifest) | flat_tags(facts | inputs | versions) | not_finite
    return Content(metrics, parameters, tags)


def benchmark_content(
    name: StageName, manifest: Manifest, cached_from: str | None, zoos: int
) -> Content:
    """Return what a stage adds to the run of its benchmark.

    Args:
        name: The stage.
        manifest: What it made or found.
        cached_from: The stage's run, if this benchmark found the artifact in the store.
        zoos: Zoos in the benchmark.
    """
    seconds = {f"seconds.{name.stage}": manifest.seconds}
    measured = {**manifest.metrics, **manifest.timings, **seconds}
    named = {benchmark_metric(metric, name, zoos): v for metric, v in measured.items()}
    metrics, not_finite = split_metrics(named)
    cached = {f"cached.{name.label}": "true", f"run.{name.label}": cached_from}
    return Content(metrics, tags=not_finite | (flat_tags(cached) if cached_from else {}))


def benchmark_metric(metric: str, name: StageName, zoos: int) -> str:
    """Return what a stage's metric is called in the benchmark's run.

    With one zoo it keeps its name, so that names are equal across runs; with more, the zoo's
    name stands before it, and that of a variant always does.
    """
    zoo = None if zoos <= 1 else name.zoo
    return ".".join(part for part in (zoo, name.variant, metric) if part)
