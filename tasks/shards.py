"""A stage's work in shards: each makes one folder, whole or not at all, and none is made twice.

A shard is a module-level function, a small plain value and an empty folder to write into. The
folder gets its name when the shard is done, so the name is the marker: an attempt that was killed
leaves the finished folders behind and the next one skips them. Values go the same way, as JSON
beside the files, so it does not matter where a shard ran or when.

A shard computes on one thread, wherever it runs: sums in another order would be other numbers.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from pydantic_core import PydanticSerializationError, to_jsonable_python
from threadpoolctl import OpenBLASController, ThreadpoolController

from schemas.errors import SaneError
from tasks.keys import canonical_json
from tasks.store_files import sync_tree

VALUE = ".value.json"


@dataclass(frozen=True)
class Done:
    """A finished shard.

    Attributes:
        folder: What it wrote; it stays until the stage is committed.
        value: What its function returned, as JSON gives it back.
    """

    folder: Path
    value: Any


@dataclass(frozen=True)
class Call:
    """A shard to run, small enough to be sent to another process.

    Attributes:
        label: Its name, e.g. `tokens.align-00003`.
        function: `function(shard, folder) -> JSON value`, at the top of a module.
        shard: What to work on: a plain value or a frozen record.
        folder: Where its folder will be; where it is, the shard is done.
    """

    label: str
    function: Callable[[Any, Path], Any]
    shard: Any
    folder: Path

    def run(self) -> None:
        """Run the shard into a folder of another name, then rename that folder.

        Raises:
            SaneError: The folder above does not exist, as on a worker without the shared disk.
        """
        if not self.folder.parent.is_dir():
            raise SaneError(
                f"{self.label}: {self.folder.parent} does not exist where the shard runs; every "
                "worker must reach the folder of the store's scratch under the same path"
            )
        part = self.folder.with_name(f".{self.folder.name}-{uuid4().hex}")
        part.mkdir()
        try:
            with _one_thread():
                value = self.function(self.shard, part)
            (part / VALUE).write_text(json.dumps(value))
            sync_tree(part)
            self._finish(part)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _finish(self, part: Path) -> None:
        try:
            os.rename(part, self.folder)
        except OSError:
            # A scheduler that lost sight of a worker runs its shard again: the first one stays.
            if not self.folder.is_dir():
                raise

    def done(self) -> Done:
        """Return what the shard made.

        Raises:
            SaneError: It ran, and nothing is there.
        """
        try:
            return Done(self.folder, json.loads((self.folder / VALUE).read_text()))
        except FileNotFoundError:
            raise SaneError(
                f"{self.label} ran, but {self.folder} is not there; every worker must reach the "
                "folder of the store's scratch under the same path"
            ) from None


FanOut = Callable[[Sequence[Call], Callable[[], None]], None]
"""Runs all calls, in any order, and calls back after each; the first failure is raised."""


def map_shards(
    calls: Sequence[Call], fan_out: FanOut, on_done: Callable[[], None] = lambda: None
) -> list[Done]:
    """Run what is not done yet and return every shard, in order."""
    for folder in {call.folder.parent for call in calls}:
        folder.mkdir(parents=True, exist_ok=True)
    waiting = [call for call in calls if not call.folder.is_dir()]
    for _ in range(len(calls) - len(waiting)):
        on_done()
    if waiting:
        # The libraries' pools are the process's: shards beside each other must find them small.
        with _one_thread():
            fan_out(waiting, on_done)
    return [call.done() for call in calls]


def in_threads(calls: Sequence[Call], on_done: Callable[[], None]) -> None:
    """Run shards in threads of this process, one on each core."""
    at_a_time(Call.run, calls, cores(), on_done)


def at_a_time(
    run: Callable[[Call], None], calls: Sequence[Call], width: int, on_done: Callable[[], None]
) -> None:
    """Run so many calls at a time; after a failure none is begun, and those that run are awaited.

    Raises:
        Exception: That of the first call that failed.
    """
    with ThreadPoolExecutor(max(1, min(width, len(calls)))) as pool:
        futures = [pool.submit(copy_context().run, run, call) for call in calls]
        try:
            for future in as_completed(futures):
                future.result()
                on_done()
        finally:
            for future in futures:
                future.cancel()


def folder_name(index: int, function: Callable[..., Any], shard: object) -> str:
    """Return the name of a shard's folder, which says what the shard is made from.

    Raises:
        TypeError: The function or the value cannot be sent to another process and be found again.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not name.isidentifier():
        raise TypeError(f"the function of a shard must stand at the top of a module, got {name}")
    try:
        plain = canonical_json(to_jsonable_python(shard))
    except (PydanticSerializationError, ValueError) as error:
        raise TypeError(f"a shard must be a plain value or a frozen record: {error}") from None
    made_from = f"{function.__module__}.{name} {plain}"
    return f"{index:05d}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread."""
    own = _ALONE.enter()
    try:
        # Of OpenMP, each thread has a limit of its own.
        with _ALONE.pools.select(user_api="openmp").limit(limits=1):
            yield
    finally:
        _ALONE.leave(own)


class _Alone:
    """The limits of the process while somebody computes on one thread.

    Whoever comes first notes how they were, and whoever leaves last restores them: threads that
    overlap would restore each other's.

    Attributes:
        pools: The thread pools of the libraries that were loaded when the first came; to look for
            them takes 10 ms.
    """

    pools: ThreadpoolController

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = 1

    def enter(self) -> int:
        """Limit the process and PyTorch in this thread; return PyTorch's limit in it before."""
        import torch

        with self._lock:
            own = torch.get_num_threads()
            if not self._users:
                self._before = own
                self.pools = ThreadpoolController()
                _set_limits_here()
                self._limits = self.pools.select(user_api="blas").limit(limits=1)
            self._users += 1
            torch.set_num_threads(1)
        return own

    def leave(self, own: int) -> None:
        """Restore PyTorch's limit in this thread, and those of the process if nobody is left."""
        import torch

        with self._lock:
            self._users -= 1
            if not self._users:
                _set_limits_here()
                self._limits.restore_original_limits()
                # PyTorch gives the number that was set last to threads that are new to it.
                own = self._before
            torch.set_num_threads(own)


_ALONE = _Alone()


def _set_limits_here() -> None:
    """Let this thread set OpenBLAS's limit: threadpoolctl 3.8 ignores all but the first that did.

    Older ones ignore none.
    """
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
