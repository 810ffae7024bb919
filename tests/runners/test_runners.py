"""Who runs the shards of a stage changes nothing in what it makes."""

import os
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.configuration import configure
from schemas.config.benchmark import BenchmarkConfig
from schemas.config.runner import RunnerConfig
from schemas.errors import ConfigError, SaneError, UserError
from tasks.runners import check_runner, shards_on
from tasks.store import Store
from tests.runners.conftest import HAS_DASK, KINDS, RunToy, Spot
from tests.runners.toy import toy


def content(spot: Spot, name: str = "numbers") -> dict[str, bytes]:
    files = (spot.folder / "store").glob(f"toy/*/{name}/*")
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def plain(tmp_path: Path) -> Spot:
    """The toy made without Prefect."""
    folder = tmp_path / "plain"
    folder.mkdir()
    made = Spot(folder)
    toy(made.numbers(), at=made.place)
    return made


@pytest.mark.parametrize("kind", [*KINDS, pytest.param("dask", marks=HAS_DASK)])
def test_the_runner_changes_no_byte(plain: Spot, spot: Spot, in_flow: RunToy, kind: str) -> None:
    artifact = in_flow(spot, kind)
    assert content(spot) == content(plain)
    assert len(content(spot)) == 5
    manifest = Store(spot.place.store).manifest(artifact)
    before = Store(plain.place.store).artifacts("toy")[0][1]
    assert manifest.metrics == before.metrics
    assert manifest.metrics["toy.seen"] == 5
    assert manifest.metrics["toy.threads"] == 1


def test_threads_stay_in_the_process(spot: Spot, in_flow: RunToy) -> None:
    in_flow(spot, "threads")
    assert spot.processes() == {os.getpid()}


@HAS_DASK
def test_dask_runs_shards_in_other_processes(spot: Spot, in_flow: RunToy) -> None:
    in_flow(spot, "scheduler")
    assert os.getpid() not in spot.processes()


def test_every_shard_is_a_task_run(spot: Spot, in_flow: RunToy) -> None:
    in_flow(spot, "threads")
    with get_client(sync_client=True) as client:
        names = {run.name for run in client.read_task_runs()}
    assert {f"toy.draw-0000{index}" for index in range(5)} <= names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("trouble", "error", "said"),
    [
        ("explained", UserError, "the shard says what to do"),
        ("value", SaneError, "stage toy cannot go on: halo must be >= 0, got -1"),
    ],
)
def test_a_shard_that_fails_fails_the_stage(
    spot: Spot, in_flow: RunToy, kind: str, trouble: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as got:
        in_flow(spot, kind, trouble=trouble)
    assert str(got.value) == said
    assert spot.begun().count(3) == 1
    assert Store(spot.place.store).artifacts("toy") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_transient_failure_is_tried_again(spot: Spot, in_flow: RunToy, kind: str) -> None:
    in_flow(spot, kind, trouble="transient")
    assert spot.begun() == [0, 1, 2, 3, 3, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_finished_shards_are_not_run_again(
    plain: Spot, spot: Spot, in_flow: RunToy, kind: str
) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        in_flow(spot, kind, trouble="once")
    before = spot.begun()
    in_flow(spot, kind, trouble="once")
    assert spot.begun() == sorted([*range(5), 3])
    assert before.count(3) == 1
    assert content(spot) == content(plain)


@HAS_DASK
def test_a_worker_that_dies_is_explained(spot: Spot, in_flow: RunToy) -> None:
    with pytest.raises(SaneError, match=r"toy.draw-0000.: the Dask worker died again and again"):
        in_flow(spot, "dask", trouble="death")


def test_the_runner_is_set_on_the_command_line() -> None:
    chosen = configure({}, ["runner.kind=dask", "runner.workers=3"], place="x")
    assert chosen.runner == RunnerConfig(kind="dask", workers=3)
    assert BenchmarkConfig().runner == RunnerConfig(kind="threads", workers=0, scheduler=None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("runner.kind=spark", "runner.kind must be"),
        ("runner.scheduler=tcp://head:8786", "scheduler needs kind dask, got kind threads"),
    ],
)
def test_a_runner_that_cannot_be_is_refused(wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configure({}, [wrong], place="x")


def test_a_scheduler_brings_its_own_workers() -> None:
    overrides = ["runner.kind=dask", "runner.scheduler=tcp://head:8786", "runner.workers=2"]
    with pytest.raises(ConfigError, match="workers must be 0 with a scheduler"):
        configure({}, overrides, place="x")


def test_a_runner_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.runners.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs prefect-dask, .* pip install .*\[dask\]"):
        check_runner(RunnerConfig(kind="dask"))
    check_runner(RunnerConfig())


def test_a_runner_belongs_to_a_flow_run() -> None:
    with pytest.raises(RuntimeError, match="belongs to a flow run"), shards_on(RunnerConfig()):
        pass
