"""Flows of the toy stage, on an embedded Prefect API."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from schemas.config.runner import RunnerConfig
from schemas.records import Artifact
from tasks.runners import shard_task, shards_on
from tasks.stage import Place
from tests.runners.toy import Numbers, toy

HAS_DASK = pytest.mark.skipif(find_spec("prefect_dask") is None, reason="no prefect-dask")
KINDS = ["threads", pytest.param("scheduler", marks=HAS_DASK)]

RunToy = Callable[..., Artifact]


@dataclass(frozen=True)
class Spot:
    """Where a toy runs: its store, and the log of the shards that were begun."""

    folder: Path

    @property
    def place(self) -> Place:
        return Place(store=str(self.folder / "store"), seed=7)

    def numbers(self, **settings: object) -> Numbers:
        return Numbers.model_validate({"log": str(self.folder / "log"), **settings})

    def begun(self) -> list[int]:
        """Return the shards that were begun, sorted."""
        return sorted(int(line.split()[0]) for line in (self.folder / "log").open())

    def processes(self) -> set[int]:
        return {int(line.split()[1]) for line in (self.folder / "log").open()}


@pytest.fixture
def spot(tmp_path: Path) -> Spot:
    return Spot(tmp_path)


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    """An embedded Prefect API."""
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def scheduler(server: None) -> Iterator[str]:
    """The address of a Dask scheduler with two workers, which most tests share."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def in_flow(
    server: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> RunToy:
    """Run the toy stage as a task of a flow; no try waits.

    Its shards run on `threads`, on a cluster of their own (`dask`), or on the shared `scheduler`.
    """
    monkeypatch.setattr(shard_task, "retry_delay_seconds", 0)

    @flow(name="toys")
    def toys(numbers: Numbers, place: Place, runner: RunnerConfig) -> Artifact:
        with shards_on(runner):
            return toy.submit(numbers, at=place)

    def run(spot: Spot, kind: str, **settings: object) -> Artifact:
        if kind == "scheduler":
            runner = RunnerConfig(kind="dask", scheduler=request.getfixturevalue("scheduler"))
        else:
            runner = RunnerConfig.model_validate({"kind": kind, "workers": 2})
        return toys(spot.numbers(**settings), spot.place, runner)

    return run
