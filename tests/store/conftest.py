"""A store in a temporary folder, and a stage that writes two small files."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from schemas.records import Artifact
from tasks.store import Store
from tasks.store_records import Job

KEY = "0123456789abcdef0123456789abcdef"


def write_tokens(job: Job) -> None:
    """Write two data files, one in a subfolder."""
    (job.folder / "layers.parquet").write_bytes(b"layers")
    (job.folder / "split=train").mkdir()
    (job.folder / "split=train" / "part-0.parquet").write_bytes(b"tokens" * 1000)
    job.metrics["rows"] = 2


Make = Callable[..., tuple[Artifact, bool]]


@pytest.fixture
def make() -> Make:
    """Make the artifact of `KEY` in a store, by default with two small files."""

    def run(store: Store, work: Callable[[Job], None] = write_tokens) -> tuple[Artifact, bool]:
        return store.get_or_make("tokens", KEY, work, config={"d_t": 73}, inputs={}, seed=3)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A local store."""
    return Store(tmp_path / "store")


@pytest.fixture
def remote(tmp_path: Path) -> Store:
    """A store on fsspec's object store in memory, emptied."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    return Store("memory://bucket/sane", local=tmp_path / "local")


@pytest.fixture(params=["store", "remote"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """Either kind of store."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def key() -> str:
    """The key of the tests' artifact."""
    return KEY
