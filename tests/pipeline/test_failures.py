"""A failed task fails the flow; only what may go away by itself is tried again."""

import errno
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

from schemas.config.windows import WindowsConfig
from schemas.errors import DamagedArtifact, DiskFull, SaneError
from schemas.records import Artifact
from tasks.stage import Place, Stage, is_transient, stage
from tasks.store_records import Job


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """An embedded Prefect API."""
    with prefect_test_harness(server_startup_timeout=180):
        yield


class Failing:
    """A stage that fails with each of these errors in turn, then works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self.attempts = 0

    def stage(self) -> Stage:
        def make(job: Job, config: WindowsConfig, seed: int) -> None:
            """Fail, or write a file."""
            self.attempts += 1
            (job.folder / "data").write_bytes(b"data")
            if self.errors:
                raise self.errors.pop(0)

        make.__module__ = "tasks.windows"
        made = stage("tried")(make)
        made.task = made.task.with_options(retry_delay_seconds=0)
        return made


def run(made: Stage, store: Path) -> Artifact:
    @flow(name="failing")
    def failing() -> Artifact:
        return made.submit(WindowsConfig(), at=Place(store=str(store), seed=0))

    return failing()


@pytest.mark.usefixtures("server")
def test_a_transient_failure_is_tried_again(tmp_path: Path) -> None:
    failing = Failing(OSError(errno.EIO, "Input/output error"))
    artifact = run(failing.stage(), tmp_path / "store")
    assert failing.attempts == 2
    assert (Path(artifact.uri) / "data").read_bytes() == b"data"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("error", [SaneError("the thing; the remedy"), ValueError("wrong")])
def test_bad_input_fails_the_flow_at_once_and_commits_nothing(
    error: Exception, tmp_path: Path
) -> None:
    failing = Failing(error)
    with pytest.raises(SaneError, match=str(error)):
        run(failing.stage(), tmp_path / "store")
    assert failing.attempts == 1
    assert [*tmp_path.rglob("manifest.json")] == []
    with get_client(sync_client=True) as client:
        states = [found.state_name for found in client.read_flow_runs()]
    assert "Failed" in states


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (FileNotFoundError(), False),
        (NotADirectoryError(), False),
        (PermissionError(), False),
        (DiskFull("no space left"), False),
        (DamagedArtifact("altered"), False),
        (ValueError("wrong"), False),
        (MemoryError(), False),
    ],
)
def test_only_what_may_go_away_by_itself_is_transient(error: Exception, expected: bool) -> None:
    state = SimpleNamespace(result=lambda raise_on_failure: error)
    assert is_transient(None, None, state) is expected
