"""Shards without Prefect: what is done stays done, and what cannot be a shard is refused."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from tasks.shards import Call, cores, folder_name
from tasks.store_records import Job
from tests.runners.conftest import Spot
from tests.runners.toy import Numbers, toy


def square(shard: int, folder: Path) -> int:
    (folder / "square").write_text(str(shard * shard))
    return shard * shard


def begin(shard: str, folder: Path) -> str:
    """Say in the folder of the shard's name that it was begun, then wait for the others to."""
    Path(shard).write_text("")
    if Path(shard).name == "fails":
        raise RuntimeError("the first")
    return shard


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for name in ("folder", "scratch"):
        (tmp_path / name).mkdir()
    return Job("toy", "key", tmp_path / "folder", tmp_path / "scratch")


def again(job: Job) -> Job:
    """The next attempt at the same artifact."""
    return Job(job.stage, job.key, job.folder, job.scratch)


def test_results_come_in_the_order_of_the_shards(job: Job) -> None:
    done = job.map(square, range(20), name="square")
    assert [shard.value for shard in done] == [n * n for n in range(20)]
    assert [(shard.folder / "square").read_text() for shard in done] == [
        str(n * n) for n in range(20)
    ]


def test_no_shards_are_no_work(job: Job) -> None:
    assert job.map(square, [], name="square") == []


def test_a_second_attempt_runs_nothing_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    done = job.map(square, range(3), name="square")
    monkeypatch.setattr(Call, "run", lambda call: pytest.fail(f"{call.label} ran again"))
    seen: list[int] = []
    found = again(job).map(square, range(3), name="square", on_done=lambda: seen.append(1))
    assert found == done
    assert len(seen) == 3


def test_a_shard_that_changed_is_run_again(job: Job) -> None:
    job.map(square, [1, 2, 3], name="square")
    done = again(job).map(square, [1, 5, 3], name="square")
    assert [shard.value for shard in done] == [1, 25, 9]


def test_a_half_written_folder_is_no_shard(job: Job) -> None:
    place = job.scratch / "shards" / "square"
    (place / f".{folder_name(0, square, 2)}-killed").mkdir(parents=True)
    assert job.map(square, [2], name="square")[0].value == 4


def test_after_a_failure_no_shard_is_begun(job: Job) -> None:
    many = [job.folder / "fails", *(job.folder / f"{n:03d}" for n in range(500))]
    with pytest.raises(RuntimeError, match="the first"):
        job.map(begin, [str(path) for path in many], name="begin")
    assert len([*job.folder.iterdir()]) < len(many)
    assert [*job.scratch.glob("shards/begin/.*")] == []


def test_kept_files_stay_for_a_next_attempt(job: Job) -> None:
    done = job.map(square, [3], name="square")[0]
    job.keep(done.folder / "square", "split=train/square")
    assert (job.folder / "split=train" / "square").read_text() == "9"
    assert (done.folder / "square").read_text() == "9"


def test_a_shard_computes_on_one_thread_and_nobody_after_it(spot: Spot) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        toy(spot.numbers(), at=spot.place)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_calls_that_overlap_compute_on_one_thread_and_restore_all(tmp_path: Path) -> None:
    """As on a Dask worker of several threads: the first ends while the second still computes."""
    before = limits()
    calls = [Call(name, overlap, name, tmp_path / name) for name in ("first", "second")]
    threads = [threading.Thread(target=call.run) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for call in calls:
        assert set(call.done().value.values()) == {1}
    assert limits() == before
    assert threads_of_a_new_thread() == before["torch"]


_begun = threading.Barrier(2, timeout=60)


def overlap(shard: str, folder: Path) -> dict[str, int]:
    _begun.wait()
    if shard == "first":
        return limits()
    first = folder.with_name("first")
    deadline = time.monotonic() + 60
    while not first.is_dir() and time.monotonic() < deadline:
        time.sleep(0.01)
    return limits()


def limits() -> dict[str, int]:
    """PyTorch's limit in this thread, and those that the whole process has."""
    pools = threadpool_info()
    blas = {pool["filepath"]: pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}
    return blas | {"torch": torch.get_num_threads()}


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.skipif(cores() < 2, reason="one core")
def test_shards_run_beside_each_other(job: Job) -> None:
    assert {shard.value for shard in job.map(meet, ["a", "b"], name="meet")} == {"a", "b"}


_both = threading.Barrier(2, timeout=60)


def meet(shard: str, folder: Path) -> str:
    _both.wait()
    return shard


@pytest.mark.parametrize("function", [lambda shard, folder: None, Job.map])
def test_a_function_that_other_processes_cannot_find_is_refused(job: Job, function) -> None:
    with pytest.raises(TypeError, match="must stand at the top of a module, got"):
        job.map(function, [1], name="x")


def test_a_shard_that_is_no_plain_value_is_refused(job: Job) -> None:
    with pytest.raises(TypeError, match="a shard must be a plain value or a frozen record"):
        job.map(square, [np.zeros(3)], name="square")


def test_a_value_that_json_cannot_hold_is_refused(job: Job) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        job.map(zeros, [1], name="zeros")


def zeros(shard: int, folder: Path) -> np.ndarray:
    return np.zeros(shard)


@pytest.mark.parametrize("name", ["square", "", "../x", "a/b"])
def test_a_step_has_a_name_of_its_own(job: Job, name: str) -> None:
    job.map(square, [1], name="square")
    with pytest.raises(ValueError, match="name must be new and match"):
        job.map(square, [1], name=name)


def test_what_is_done_is_seen_in_the_scratch(job: Job) -> None:
    done = job.map(square, [4], name="square")[0]
    assert done.folder.parent == job.scratch / "shards" / "square"
    assert json.loads((done.folder / ".value.json").read_text()) == 16


def test_the_runner_is_in_no_key(spot: Spot) -> None:
    assert "runner" not in Numbers.model_fields
    assert {*type(spot.place).model_fields} == {"store", "seed"}
