"""What is worth another try, and when: the same for stages and for their shards."""

import errno
from typing import Any

RETRIES = 2
RETRY_DELAYS = [2.0, 10.0]
RETRY_JITTER = 0.5
_LASTING = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_transient(task: Any, run: Any, state: Any) -> bool:
    """Return whether a failed task is worth another try: not for what fails the same way again.

    Explained errors and bad values do, and so do a path that is not what it must be and a full
    disk.
    """
    del task, run
    error = state.result(raise_on_failure=False)
    if not isinstance(error, OSError) or isinstance(error, _LASTING):
        return False
    return error.errno not in _FULL
