"""Whatever is killed, races or runs out of space: a later run trusts only whole artifacts."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from schemas.errors import DiskFull
from tasks.keys import ROOT
from tasks.locks import file_lock
from tasks.store import Store
from tasks.store_records import Job

SCRIPT = """
import os, signal, sys, time
from tasks import store_folders
from tasks.store import Store

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def make(job):
    (job.folder / "a.parquet").write_bytes(b"a" * 1000)
    (job.scratch / "epoch-1").write_text("1")
    if mode == "producing":
        die()
    if mode == "slowly":
        time.sleep(0.7)
    (job.folder / "b.parquet").write_bytes(b"b")

root, mode = sys.argv[1:]
rename = os.rename
if mode == "before the rename":
    os.rename = die
if mode == "before the manifest":
    os.rename = lambda *a, **k: die() if "src_dir_fd" in k else rename(*a, **k)
print(*Store(root).get_or_make("tokens", "k1", make, config={}, inputs={}, seed=0))
"""


def start(root: Path, mode: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(root), mode],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of an undisturbed run."""
    root = tmp_path_factory.mktemp("whole")
    start(root, "undisturbed").communicate()
    artifact = Store(root).find("tokens", "k1")
    assert artifact
    return artifact.digest


@pytest.mark.parametrize("mode", ["producing", "before the rename", "before the manifest"])
def test_a_killed_run_commits_nothing_and_the_next_one_heals(tmp_path, whole, mode) -> None:
    process = start(tmp_path, mode)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    store = Store(tmp_path)
    assert store.find("tokens", "k1") is None
    assert (tmp_path / "tokens" / "k1" / "a.parquet").exists() is (mode == "before the manifest")
    assert (tmp_path / ".work" / "tokens-k1" / "scratch" / "epoch-1").read_text() == "1"

    start(tmp_path, "undisturbed").communicate()
    healed = store.find("tokens", "k1")
    assert healed and healed.digest == whole
    assert store.open(healed).file("b.parquet").read_bytes() == b"b"
    assert [*(tmp_path / ".work").iterdir()] == []


def test_of_two_processes_one_makes_and_the_other_is_served(tmp_path: Path) -> None:
    told = [process.communicate()[0] for process in [start(tmp_path, "slowly") for _ in "ab"]]
    assert sorted(text.split()[-1] for text in told) == ["False", "True"]


def test_of_many_threads_one_makes(store: Store, make, key) -> None:
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(make(store)[1]), name=str(n)) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] + [True] * 5


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib\nfrom tasks.locks import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n"
        "    time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "x.lock")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    process.kill()
    process.communicate()
    with file_lock(tmp_path / "x.lock") as held:
        assert held


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("tasks.locks.fcntl.flock", refuse)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_first_commit_stays(any_store: Store, make) -> None:
    first = []

    def overtaken(job: Job) -> None:
        (job.folder / "x").write_bytes(b"slow")
        if not first:
            first.append(job)
            first.append(make(any_store, lambda job: (job.folder / "x").write_bytes(b"fast"))[0])

    artifact, _ = make(any_store, overtaken)
    assert artifact == first[1]
    assert any_store.open(artifact).file("x").read_bytes() == b"fast"


def test_a_manifest_never_lands_beside_the_files_of_another(store: Store, make, key, monkeypatch):
    """Another process, without locks, swaps the folder between the data and the manifest."""
    rename = os.rename

    def swap(source, target, **handles):
        if handles:
            monkeypatch.undo()
            (Path(store.uri) / "tokens" / key).rename(Path(store.uri) / "aside")
            make(Store(store.uri), lambda job: (job.folder / "x").write_bytes(b"theirs"))
        rename(source, target, **handles)

    def ours(job: Job) -> None:
        (job.folder / "x").write_bytes(b"ours")

    monkeypatch.setattr("tasks.locks.fcntl.flock", lambda handle, operation: None)
    monkeypatch.setattr("tasks.store_folders.os.rename", swap)
    artifact, _ = make(store, ours)
    assert store.open(artifact).file("x").read_bytes() == b"theirs"


def full(*args: object, **kwargs: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["write_synced", "sync_tree", "os.rename", "sync"])
def test_a_full_disk_in_any_step_of_the_commit_is_named(
    store: Store, make, key, monkeypatch, step: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(f"tasks.store_folders.{step}", full)
        with pytest.raises(DiskFull, match=f"no space left for the store {store.uri}"):
            make(store)
        assert store.find("tokens", key) is None
    assert make(store)[1] is False


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x"), ValueError("No space left on device")],
)
def test_a_full_disk_is_known_by_number_or_words(store: Store, make, error: Exception) -> None:
    def fill(job: Job) -> None:
        raise error

    with pytest.raises(DiskFull, match=r"free some space or choose another `store`"):
        make(store, fill)


def test_an_upload_that_breaks_off_commits_nothing(remote: Store, make, key, monkeypatch) -> None:
    files = type(fsspec.filesystem("memory"))
    put = files.put_file

    def break_off(self, source, target, **options):
        if "split" in target:
            raise ConnectionError("reset by peer")
        put(self, source, target, **options)

    with monkeypatch.context() as broken:
        broken.setattr(files, "put_file", break_off)
        with pytest.raises(ConnectionError):
            make(remote)
    assert remote.find("tokens", key) is None
    assert make(remote)[1] is False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a real full disk needs root, to mount one")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)])
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(job: Job) -> None:
    (job.folder / "big").write_bytes(b"x" * (4 << 20))


def fill_up_namelessly(job: Job) -> None:
    try:
        fill_up(job)
    except OSError:
        raise RuntimeError("the writer failed") from None


def fill_up_with_numpy(job: Job) -> None:
    np.save(job.folder / "big.npy", np.zeros(1 << 20))


@pytest.mark.parametrize("fill", [fill_up, fill_up_namelessly, fill_up_with_numpy])
def test_a_really_full_disk_is_named_and_heals(small_disk: Path, make, key, fill) -> None:
    store = Store(small_disk / "store")
    with pytest.raises(DiskFull, match=f"no space left for the store {store.uri}"):
        make(store, fill)
    assert store.find("tokens", key) is None
    artifact, cached = make(store)
    assert not cached
    assert store.open(artifact)


def test_a_really_full_disk_is_not_writable(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (small_disk / "x").open("wb") as file:
        file.write(b"x" * (4 << 20))
    with pytest.raises(DiskFull, match="choose another `store`"):
        Store(small_disk / "store").check_writable()
