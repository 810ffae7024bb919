"""Prepare the next batches in a thread while the current one is used.

The thread ends with its consumer: when the batches are used up, when one could not be made, when
the consumer closes the iterator, and when it just forgets it.
"""

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1
_JOIN_SECONDS = 30.0


class Ahead(Iterator[T], Generic[T]):
    """An iterator over what another one gives, made ahead in a thread of its own.

    Attributes:
        waited: Seconds that the consumer has waited for batches so far.
    """

    def __init__(self, batches: Iterator[T], depth: int) -> None:
        """Start the thread; see `ahead`."""
        self.waited = 0.0
        self._ready: Queue[tuple[str, Any]] = Queue(depth)
        self._stop = Event()
        # The thread must not know this object: it would keep alive what nobody uses any more.
        self._thread = Thread(
            target=_fill, args=(batches, self._ready, self._stop), name="ahead", daemon=True
        )
        self._finish = weakref.finalize(self, self._stop.set)
        self._ended = False
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """Return the next batch, or raise what went wrong in making it."""
        if self._ended:
            raise StopIteration
        start = time.perf_counter()
        kind, value = self._get()
        self.waited += time.perf_counter() - start
        if kind == "batch":
            batch: T = value
            return batch
        self.close()
        if kind == "error":
            raise value
        raise StopIteration

    def _get(self) -> tuple[str, Any]:
        while True:
            alive = self._thread.is_alive()
            with suppress(Empty):
                return self._ready.get(timeout=_POLL_SECONDS if alive else 0.0)
            if not alive:
                return "error", RuntimeError("the thread that reads ahead ended without a word")

    def close(self) -> None:
        """End the thread, and the iterator it reads from; further batches are left unread."""
        self._ended = True
        self._finish()
        self._thread.join(_JOIN_SECONDS)


def ahead(batches: Iterator[T], depth: int = 2) -> Ahead[T]:
    """Prepare up to `depth` batches in a thread while the consumer works on another.

    Args:
        batches: Where they come from; used by the thread alone from now on, and closed by it.
        depth: Batches that may wait for the consumer.

    Returns:
        An iterator over the same batches, in the same order. An exception in making one comes in
        its place. `waited` counts the seconds that the consumer waited.

    Raises:
        ValueError: `depth` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be >= 1, got {depth}")
    return Ahead(batches, depth)


def _fill(batches: Iterator[Any], ready: "Queue[tuple[str, Any]]", stop: Event) -> None:
    last: tuple[str, Any] = ("end", None)
    try:
        for batch in batches:
            if not _put(ready, ("batch", batch), stop):
                break
    except BaseException as error:  # noqa: BLE001  (it is the consumer's to handle)
        last = ("error", error)
    close: Callable[[], None] = getattr(batches, "close", lambda: None)
    try:
        close()
    except BaseException as error:  # noqa: BLE001
        last = ("error", error)
    _put(ready, last, stop)


def _put(ready: "Queue[tuple[str, Any]]", item: tuple[str, Any], stop: Event) -> bool:
    """Put an item, unless the consumer has gone; return whether it took it."""
    while not stop.is_set():
        with suppress(Full):
            ready.put(item, timeout=_POLL_SECONDS)
            return True
    return False
