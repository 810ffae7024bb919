"""Only what may go away by itself is tried again."""

import errno
from types import SimpleNamespace

import pytest

from tasks.retries import is_transient


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (TimeoutError("the storage does not answer"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), False),
        (FileNotFoundError("x"), False),
        (ValueError("halo must be >= 0"), False),
    ],
)
def test_a_full_disk_stays_full(error: Exception, expected: bool) -> None:
    state = SimpleNamespace(result=lambda raise_on_failure: error)
    assert is_transient(None, None, state) is expected
