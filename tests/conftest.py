"""Prefect keeps its files in a temporary folder, never in the home of whoever runs the tests.

A folder of tests runs on one worker, so that what its tests share is made once; those that take
longest come first. Workers beside each other compute on one thread each.
"""

import os
import tempfile
from pathlib import Path

import pytest

_HOME = tempfile.TemporaryDirectory(prefix="sane-tests-")
os.environ["PREFECT_HOME"] = _HOME.name
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

_TESTS = Path(__file__).parent
_FIRST = ("pipeline", "deployment")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by folder, and put the longest groups first."""

    def folder(item: pytest.Item) -> str:
        return item.path.relative_to(_TESTS).parts[0]

    items.sort(key=lambda item: folder(item) not in _FIRST)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(folder(item)))
