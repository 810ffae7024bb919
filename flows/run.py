"""Run the benchmark from the command line, on an embedded Prefect API if no server is named.

The environment is prepared before Prefect is imported: without `PREFECT_API_URL` the API is
ephemeral, on an SQLite database below `.prefect/`.
"""

import logging
import os
from pathlib import Path

from flows.places import check_places
from flows.watcher import watch
from schemas.config.benchmark import BenchmarkConfig


def run_benchmark(config: BenchmarkConfig) -> Path:
    """Run the flow `sane`, print a summary, and return the path of the report.

    Raises:
        SaneError: What stopped the run, in one sentence.
    """
    prepare(config)
    from flows.benchmark import sane

    page = Path(sane(config))
    _print_summary(config, page)
    return page


def run_zoos(config: BenchmarkConfig) -> list[Path]:
    """Run the flow `zoos` and return the path of each zoo's page.

    Raises:
        SaneError: What stopped the run, in one sentence.
    """
    prepare(config)
    from flows.zoos import zoos

    return [Path(page) for page in zoos(config)]


def prepare(config: BenchmarkConfig) -> None:
    """Check the places, then set up the environment before Prefect is imported."""
    check_places(config)
    _prepare_environment()
    watch()
    _leave_failures_to_the_caller()


def _prepare_environment() -> None:
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    if "PREFECT_API_URL" not in os.environ:
        os.environ.setdefault("PREFECT_HOME", str(Path(".prefect").resolve()))
        os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
        # Prefect's own 20 s are too few on a busy machine.
        os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")


def _leave_failures_to_the_caller() -> None:
    """Keep Prefect's reports on failed runs off the console; its API stores them all the same.

    A failed task's exception reaches the caller of the flow, which says what to do.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).propagate = False


def _print_summary(config: BenchmarkConfig, page: Path) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    from tasks.publish import HEADLINES
    from tasks.tracking_places import ui_command

    flat = json.loads((page.parent / "results.json").read_text())
    table = Table("metric", "value", title=config.name)
    for name, value in flat.items():
        if any(name.endswith(headline) for headline in HEADLINES):
            table.add_row(name, f"{value:.4f}")
    console = Console()
    console.print(table)
    console.print(f"Report:  {page}", soft_wrap=True)
    for drawn in sorted(page.parent.glob("map*.html")):
        console.print(f"Map:     {drawn}", soft_wrap=True)
    console.print(f"Results: {page.parent / 'results.json'}", soft_wrap=True)
    console.print(f"MLflow:  {ui_command(config.tracking)}", soft_wrap=True)
