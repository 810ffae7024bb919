"""Read a file once, whole, and only if it is one.

Everything later works on the bytes that were hashed, so a file that changes meanwhile cannot differ
from its digest.
"""

import os
import stat
from pathlib import Path

from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused


def read_file(path: Path, limit: int) -> bytes:
    """Return a regular file's bytes.

    Args:
        path: File, or a link to one.
        limit: Bytes it may have.

    Returns:
        All bytes of the file.

    Raises:
        Refused: If it is a folder, a pipe or a device, too large, or changes while it is read.
        OSError: If it cannot be read.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
            raise Refused(f"a checkpoint must be a regular file, got {kind}", "Name the file")
        if found.st_size > limit:
            raise Refused(
                f"the file must have at most {limit} bytes, got {found.st_size}",
                "Raise the limit if the file is meant to be this large",
            )
        # One byte more than it has: a file that grows meanwhile shows.
        data = os.read(descriptor, found.st_size + 1)
        while data and len(data) < found.st_size:
            more = os.read(descriptor, found.st_size - len(data))
            if not more:
                break
            data += more
    finally:
        os.close(descriptor)
    if len(data) != found.st_size:
        raise Refused("the file changed while it was read", FETCH_AGAIN, incomplete=True)
    return data
