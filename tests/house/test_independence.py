"""The science stands alone: it imports with no orchestrator and no tracker installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import importlib, pkgutil, sys
for absent in ("prefect", "mlflow"):
    sys.modules[absent] = None
import sane_core, schemas
for package in (sane_core, schemas):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.split(".")[-1].startswith("__"):
            importlib.import_module(module.name)
"""


def test_core_and_schemas_import_without_prefect_and_mlflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
