"""A Prefect server, a process worker and the deployments, on loopback, for the tests here.

Everything that is started carries the server's own `PREFECT_HOME` in its environment. By that mark
it is found and ended, grandchildren too, however the tests end.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
RUN_SECONDS = 900.0


@dataclass(frozen=True)
class Deployed:
    """The two deployments on a server that runs.

    Attributes:
        folder: Where the worker was started.
        home: The server's own folder; the logs lie there.
        api: Address of the server's API.
        environment: What a command needs to reach the server.
    """

    folder: Path
    home: Path
    api: str
    environment: dict[str, str]

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call `prefect` with a bound on its time."""
        return subprocess.run(
            _command(*arguments),
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    def log(self, of: str) -> str:
        """Return what the server or the worker printed."""
        return (self.home / f"{of}.log").read_text()

    def find(self, what: str, **filters: object) -> list[dict[str, Any]]:
        """Return the server's objects of a kind: flow_runs, artifacts, …"""
        answer = httpx.post(f"{self.api}/{what}/filter", json=filters, timeout=60)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Start server and worker, deploy, and end everything afterwards."""
    home = tmp_path_factory.mktemp("prefect")
    port = _free_port()
    there = Deployed(
        folder=tmp_path_factory.mktemp("worker"),
        home=home,
        api=f"http://127.0.0.1:{port}/api",
        environment=_environment(home, port),
    )
    try:
        _start(there, "server", "start", "--host", "127.0.0.1", "--port", str(port))
        _wait_for(f"{there.api}/health")
        _must(there.prefect("work-pool", "create", "sane", "--type", "process", "--overwrite"))
        _start(there, "worker", "start", "--pool", "sane", "--type", "process", "--limit=1")
        deploy = ("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
        _must(there.prefect(*deploy))
        yield there
    finally:
        _end_all(home)
        assert _marked(home) == []


def _end_all(home: Path) -> None:
    """End every process that carries this `PREFECT_HOME`: kindly, then not."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        left = _marked(home)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(left, timeout=15)


def _marked(home: Path) -> list[psutil.Process]:
    """Return the processes that carry this `PREFECT_HOME` and are no mere remains."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PREFECT_HOME") == str(home):
                found.append(process)
    return found


def _environment(home: Path, port: int) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    return inherited | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }


def _command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("prefect")), *arguments]


def _start(there: Deployed, *arguments: str) -> None:
    with (there.home / f"{arguments[0]}.log").open("w") as log:
        subprocess.Popen(
            _command(*arguments),
            cwd=there.folder,
            env=there.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urlopen(address, timeout=5).close()
        except (URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{address} does not answer after {START_SECONDS:.0f} s")


def _must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise RuntimeError(f"{done.args} failed:\n{done.stdout}\n{done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
