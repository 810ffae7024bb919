"""Batches are made while others are used, and the thread that makes them ends with its consumer."""

import gc
import threading
import time

import pytest

from sane_core.windows.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


def gone() -> bool:
    """Wait a little for the threads to end."""
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not threads()


class Endless:
    """Numbers without end, which know how many were taken and whether they were closed."""

    def __init__(self):
        self.taken = 0
        self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        return self.taken

    def close(self):
        self.closed = True


def test_everything_comes_in_order_and_the_thread_ends():
    assert list(ahead(iter(range(50)), depth=3)) == list(range(50))
    assert gone()


def test_batches_are_prepared_before_they_are_asked_for_and_no_more_than_said():
    source = Endless()
    batches = ahead(source, depth=2)
    deadline = time.monotonic() + 10
    while source.taken < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert source.taken == 3  # two wait, and one is at the door
    batches.close()


def test_an_exception_comes_where_its_batch_would_and_nothing_after_it():
    def failing():
        yield 1
        raise KeyError("the second")

    batches = ahead(failing())
    assert next(batches) == 1
    with pytest.raises(KeyError, match="the second"):
        next(batches)
    assert list(batches) == []
    assert gone()


@pytest.mark.parametrize("forget", [False, True])
def test_a_consumer_that_stops_early_leaves_no_thread_and_a_closed_source(forget):
    source = Endless()
    batches = ahead(source)
    assert next(batches) == 1
    if forget:
        del batches
        gc.collect()
    else:
        batches.close()
        assert list(batches) == []
    assert gone()
    assert source.closed


def test_a_generator_is_closed_in_its_own_thread():
    ended_in = []

    def numbers():
        try:
            while True:
                yield 0
        finally:
            ended_in.append(threading.current_thread().name)

    batches = ahead(numbers())
    next(batches)
    batches.close()
    assert ended_in == ["ahead"]


def test_only_the_consumers_waiting_is_counted():
    def slow():
        for number in range(3):
            time.sleep(0.05)
            yield number

    hasty = ahead(slow())
    list(hasty)
    patient = ahead(slow())
    time.sleep(0.5)
    next(patient)
    next(patient)
    assert hasty.waited >= 0.1
    assert patient.waited < hasty.waited
    patient.close()


def test_there_must_be_room_for_one_batch():
    with pytest.raises(ValueError, match="depth must be >= 1, got 0"):
        ahead(iter([]), depth=0)
