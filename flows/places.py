"""Where a run writes, looked at before any work starts, and before Prefect does."""

from pathlib import Path

from schemas.config.benchmark import BenchmarkConfig
from tasks.report_folder import check_report_folder
from tasks.store import Store
from tasks.tracking_places import check_database, database_file, resolve


def check_places(config: BenchmarkConfig) -> None:
    """Find out whether store, report folder and tracking database can be written.

    Raises:
        SaneError: One of them cannot, with the reason and the remedy.
    """
    Store(config.store).check_writable()
    check_report_folder(report_folder(config))
    if file := database_file(resolve(config.tracking).uri):
        check_database(file)


def report_folder(config: BenchmarkConfig) -> Path:
    """Return the folder of the page and `results.json`."""
    return Path(config.out or f"runs/{config.name}")
