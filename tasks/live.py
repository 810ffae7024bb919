"""What a stage tells while it runs: each epoch as it ends, to whoever watches.

A stage need not know who that is, nor whether anybody does. Watchers are held in a context
variable: they follow a stage into its Prefect task, which runs in the flow's thread or in one with
a copy of its context, and two stages that run beside each other have watchers of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from schemas.errors import SaneError

OnEpoch = Callable[[Mapping[str, float]], None]
"""Takes the record of an epoch: `epoch`, counted from 1, and what was measured in it."""

_watchers: ContextVar[tuple[OnEpoch, ...]] = ContextVar("watchers", default=())


class Stopped(SaneError):
    """A watcher has seen enough: the stage ends here, without an artifact."""


@contextmanager
def watching(on_epoch: OnEpoch) -> Iterator[None]:
    """Call `on_epoch` after every epoch of what runs in the block.

    What it raises goes through the stage, which ends what it started; `Stopped` is for that.
    """
    token = _watchers.set((on_epoch, *_watchers.get()))
    try:
        yield
    finally:
        _watchers.reset(token)


def epoch_done(record: Mapping[str, float]) -> None:
    """Tell the watchers of an epoch that has ended, the innermost first.

    Args:
        record: `epoch`, counted from 1, and what was measured. A resumed stage may tell an epoch
            again.
    """
    for on_epoch in _watchers.get():
        on_epoch(record)
