"""Training runs where FFCV, numba, polars and Prefect are not installed."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
for name in ("ffcv", "numba", "polars", "prefect", "mlflow"):
    sys.modules[name] = None
import sane_core.pretraining.behaviour
from sane_core.pretraining.train import pretrain
from sane_core.windows.reader import open_windows
from tests.pretraining.toy import SHAPE, Memory, configured, write_set
folder = write_set(Path("windows"), Memory(0), Memory(1))
readers = [open_windows([folder], split, "numpy") for split in ("train", "validation")]
print(len(pretrain(*readers, SHAPE, configured(epochs=1), 0).history))
"""


def test_training_needs_nothing_but_torch_and_numpy(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
