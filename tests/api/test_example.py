"""The example in `examples/python` runs, on a SANE that knows nothing of its networks."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_embeds_the_sample_zoo_and_reconstructs_a_network(sane, tmp_path):
    sane.save(tmp_path / "tiny")
    command = [sys.executable, ROOT / "examples/python/predict_accuracy.py", tmp_path / "tiny"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("R² of the accuracy of 18 networks that were held out: ")
    assert second.startswith("a network and its reconstruction agree on ")
