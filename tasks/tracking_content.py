"""What is written on the runs: of a benchmark, and of each of its stages.

The same manifest gives the same content, whether its stage ran or was found in the store.
"""

from collections.abc import Mapping
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


class StageName(NamedTuple):
    """A stage and the zoo it worked on; none if on all of them."""

    stage: str
    zoo: str | None

    @property
    def label(self) -> str:
        """What its run is called."""
        return self.stage if self.zoo is None else f"{self.zoo}.{self.stage}"


def benchmark_tags(flow_run: FlowRunRef | None) -> dict[str, str]:
    """Return the tags of a benchmark's run, with the way back to its flow run."""
    tags: dict[str, object] = {"sane.kind": "benchmark", "mlflow.source.name": "sane"}
    if flow_run:
        link = f"[{flow_run.id}]({flow_run.url})" if flow_run.url else flow_run.id
        tags["prefect.flow_run_id"] = flow_run.id
        tags["prefect.flow_run_url"] = flow_run.url
        tags["mlflow.note.content"] = f"Prefect flow run {link}"
    return flat_tags(tags)


def stage_tags(
    parent: str, name: StageName, artifact: Artifact, manifest: Manifest
) -> dict[str, str]:
    """Return the tags that a stage's run has from its first moment, and is found by."""
    tags = {
        PARENT: parent,
        "mlflow.source.name": "sane",
        "mlflow.source.git.commit": manifest.git_revision,
        "sane.kind": "stage",
        "sane.stage": name.stage,
        "sane.zoo": name.zoo,
        "sane.key": manifest.key,
        "sane.artifact": artifact.digest,
        "sane.uri": artifact.uri,
    }
    return flat_tags(tags)


def stage_content(manifest: Manifest) -> Content:
    """Return what a stage's own run shows: its configuration, its metrics, its lineage."""
    metrics, not_finite = split_metrics({"seconds": manifest.seconds, **manifest.metrics})
    facts = {f"fact.{name}": text for name, text in manifest.facts.items()}
    inputs = {f"input.{name}": given.digest for name, given in manifest.inputs.items()}
    versions = {f"version.{name}": text for name, text in manifest.versions.items()}
    parameters = flat_parameters({"seed": manifest.seed, **manifest.config})
    return Content(metrics, parameters, flat_tags(facts | inputs | versions) | not_finite)


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
    measured = {**manifest.metrics, f"seconds.{name.stage}": manifest.seconds}
    named = {benchmark_metric(metric, name.zoo, zoos): v for metric, v in measured.items()}
    metrics, not_finite = split_metrics(named)
    cached = {f"cached.{name.label}": "true", f"run.{name.label}": cached_from}
    return Content(metrics, tags=not_finite | (flat_tags(cached) if cached_from else {}))


def benchmark_metric(name: str, zoo: str | None, zoos: int) -> str:
    """Return what a stage's metric is called in the benchmark's run.

    With one zoo it keeps its name, so that names are equal across runs; with more, the zoo's
    name stands before it.
    """
    return name if zoos <= 1 or zoo is None else f"{zoo}.{name}"
