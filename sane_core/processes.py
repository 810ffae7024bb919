"""Processes that end with the one that started them, however that one ends (Linux only)."""

import ctypes
import os
import signal
import sys

_PARENT_DEATH_SIGNAL = 1


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; elsewhere do nothing.

    Args:
        parent: Process id of the parent. If it is dead already, this process ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
