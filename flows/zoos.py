"""The flow `zoos`: train or ingest zoos, register them, and draw what is in them."""

import os
from pathlib import Path

from prefect import flow
from prefect.events import emit_event

from flows.made_zoo import MadeZoo, make_zoo
from flows.places import report_folder
from flows.session import Session
from sane_core.reporting.zoo_report.draw import draw_zoo_report
from schemas.config.benchmark import BenchmarkConfig
from tasks.runners import shards_on
from tasks.store import Store
from tasks.zoos import dataset_of

REGISTERED = "sane.zoo.registered"
"""Event that says that a zoo can be used; `deployments/prefect.yaml` has a trigger on it."""


@flow(name="zoos", flow_run_name="{config.name}", validate_parameters=True, log_prints=False)
def zoos(config: BenchmarkConfig) -> list[str]:
    """Make every zoo of a configuration and return the paths of their pages."""
    pages = []
    with shards_on(config.runner), Session(config) as session:
        for source in config.zoos:
            made = make_zoo(session.for_zoo(source.name), config, source)
            register(source.name, made)
            pages.append(str(draw(config, source.name, made)))
    return pages


def register(name: str, made: MadeZoo) -> None:
    """Tell a Prefect server, if there is one, that a zoo can be used."""
    if "PREFECT_API_URL" in os.environ:
        emit_event(
            event=REGISTERED,
            resource={"prefect.resource.id": f"sane.zoo.{name}", "prefect.resource.name": name},
            payload={"zoo": name, "artifact": made.artifact.uri, "digest": made.artifact.digest},
        )


def draw(config: BenchmarkConfig, name: str, made: MadeZoo) -> Path:
    """Write a zoo's page and figures into the run's folder."""
    store = Store(config.store)
    dataset = None if made.images is None else dataset_of(store, made.images)
    out = report_folder(config) / name
    return draw_zoo_report(store.open(made.artifact).folder, out, dataset)
