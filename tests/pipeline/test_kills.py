"""A run that is killed in any stage, and started again, ends as one that was never disturbed."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

# Runs every stage; the named one blocks once it has done its work, just before its commit.
SCRIPT = """
import sys, time
from flows.benchmark import run_stages
from schemas.config.benchmark import BenchmarkConfig
from tasks.stage import Place

store, blocked, text = sys.argv[1:]
config = BenchmarkConfig.model_validate_json(text)

def run(stage, settings, **inputs):
    if stage.name == blocked:
        make = stage.make
        stage.make = lambda *args, **named: (make(*args, **named), time.sleep(600))
    return stage(settings, at=Place(store=store, seed=config.seed), **inputs)

run_stages(run, config, config.zoos[0])
"""
# What is there when a stage is in the middle of its work.
BEGUN = {
    "images": "attempt-*/images.json",
    "zoo": "scratch/*/state.npz",
    "tokens": "attempt-*/tokens",
    "windows": "scratch/shards/compile/*/windows.beton",
    "embeddings": "attempt-*/embeddings.parquet",
    "probes": "attempt-*/*.parquet",
    "generation": "attempt-*/samples",
    "report": "attempt-*/figures/*",
}


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[bytes]") -> None:
    """Wait until the condition holds."""
    limit = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the process ended before it could be killed"
        assert time.monotonic() < limit, "the stage did not begin within 240 s"
        time.sleep(0.005)


def kill(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Kill a process alone, by SIGKILL; return the descendants that it had."""
    descendants = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    return descendants


def commands(process: "subprocess.Popen[bytes]") -> list[str]:
    """Return the command lines of a process's descendants, but of those that end meanwhile."""
    lines = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):
            lines.append(" ".join(child.cmdline()))
    return lines


@pytest.mark.parametrize("stage", BEGUN)
def test_a_stage_killed_in_its_middle_changes_nothing_of_the_end(
    stage: str, reference, store: Path, run_all, environment
) -> None:
    shutil.rmtree(store / stage)
    config = reference.config.model_dump_json()
    command = [sys.executable, "-c", SCRIPT, str(store), stage, config]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: [*store.glob(f".work/{stage}-*/{BEGUN[stage]}")], process)
    _, alive = psutil.wait_procs(kill(process), timeout=30)
    assert alive == []
    assert [*store.glob(f"{stage}/*/manifest.json")] == []

    again = run_all(store, reference.config)
    assert again.made == {stage}
    assert again.content == reference.content
    assert [*(store / ".work").iterdir()] == []


@pytest.mark.end_to_end
def test_a_command_killed_while_it_trains_leaves_no_process_and_goes_on(
    reference, small: Path, store: Path, sane, environment
) -> None:
    shutil.rmtree(store / "model")
    before = {path: path.stat().st_mtime_ns for path in store.glob("*/*/manifest.json")}
    # FFCV compiles for long; numpy's reader must give the same weights.
    options = [str(small), "--set", "windows.reader=numpy"]
    command = [sys.executable, "-m", "flows.cli", "run", *options]
    process = subprocess.Popen(
        command, cwd=store.parent, env=environment, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: [*store.glob(".work/model-*/scratch/state.safetensors")], process)
    assert any("uvicorn" in command for command in commands(process))
    descendants = kill(process)
    _, alive = psutil.wait_procs(descendants, timeout=30)
    assert alive == []

    done = sane("run", *options, cwd=store.parent)
    assert done.returncode == 0, done.stderr
    again = json.loads((store.parent / "runs/small/results.json").read_text())
    assert again == reference.results | {"windows.reader": "numpy"}
    after = {path: path.stat().st_mtime_ns for path in store.glob("*/*/manifest.json")}
    assert [path.parts[-3] for path in after if before.get(path) != after[path]] == ["model"]


def test_what_a_run_has_started_ends_with_it(tmp_path: Path) -> None:
    script = (
        "import subprocess, time\nfrom flows.watcher import watch\nwatch()\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout
    child = psutil.Process(int(process.stdout.readline()))
    kill(process)
    _, alive = psutil.wait_procs([child], timeout=30)
    assert alive == []


def test_a_worker_whose_parent_is_gone_before_it_began_writes_nothing(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", ""])
    stranger.wait()
    command = [sys.executable, "-m", "sane_core.pretraining.worker", "job.json"]
    done = subprocess.run([*command, str(stranger.pid)], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1
    assert done.stderr == b""
    assert [*tmp_path.iterdir()] == []
