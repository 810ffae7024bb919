"""A long stage shows how far it is on the page of its task run; a short one shows nothing."""

import warnings
from threading import Thread

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client

from tasks import progress_page
from tasks.progress import progress_bar

pytestmark = pytest.mark.usefixtures("server")


@task(name="long stage")
def long_stage() -> None:
    with progress_bar("train", 4, "steps") as bar:
        bar.advance(1, "loss 0.9")
        bar.reach(3, 4)


@flow
def one_stage() -> None:
    long_stage()


def shown() -> list[tuple[str, float]]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts()
    return [(a.key, a.data) for a in found if a.type == "progress"]


def test_a_long_stage_shows_its_progress_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_page, "SECONDS", 0.0)
    before = shown()
    one_stage()
    new = [found for found in shown() if found not in before]
    assert len(new) == 1
    key, percent = new[0]
    assert key.startswith("long-stage") and key.endswith("-train")
    assert percent == 100


def test_progress_that_another_thread_tells_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    @task(name="threaded stage")
    def threaded() -> None:
        with progress_bar("train", 2, "steps") as bar:
            teller = Thread(target=bar.advance)
            teller.start()
            teller.join()

    monkeypatch.setattr(progress_page, "SECONDS", 0.0)
    before = shown()
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        flow(threaded)()
    (found,) = [each for each in shown() if each not in before]
    assert found[0].startswith("threaded-stage")


def test_a_short_stage_shows_none() -> None:
    before = shown()
    one_stage()
    assert shown() == before


def test_a_stage_goes_on_where_its_progress_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no way to the server")

    monkeypatch.setattr(progress_page, "SECONDS", 0.0)
    monkeypatch.setattr(progress_page, "create_progress_artifact", refuse)
    one_stage()


def test_without_a_task_run_there_is_no_page() -> None:
    with progress_bar("train", 2, "steps") as bar:
        bar.advance(2)
