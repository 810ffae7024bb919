"""Prefect keeps its files in a temporary folder, never in the home of whoever runs the tests."""

import os
import tempfile

_HOME = tempfile.TemporaryDirectory(prefix="sane-tests-")
os.environ["PREFECT_HOME"] = _HOME.name
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
