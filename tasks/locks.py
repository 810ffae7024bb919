"""An operating-system lock on a file: it dies with its process, so nothing is ever left locked.

It saves double work; correctness never needs it.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_log = logging.getLogger(__name__)


@contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of a file, waiting for another process or thread that holds it.

    The file stays where it is: to delete it would let two processes hold "the" lock.

    Args:
        path: The lock's file; it is made, with its folder, where it does not exist.

    Yields:
        Whether the lock is held; False where the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        held = _acquire(handle, path)
        try:
            yield held
        finally:
            if held:
                # Explicit, as a forked child that lives on still has the file open.
                fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.info("waiting for another process that is making %s", path.stem)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _log.info("no file locks at %s: work may be done twice", path.parent)
        return False
    return True
