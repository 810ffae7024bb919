"""End what a run has started when the run itself is gone, killed or not (Linux only).

Prefect's embedded server is a process of its own that only an orderly exit stops: after `kill -9`,
or a plain `kill`, it would run for ever. The watcher holds one end of a pipe that closes with the
run, and then kills every process that carries the run's mark in its environment.
"""

import atexit
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

MARK = "SANE_RUN"


def watch() -> None:
    """Mark this process's future children, and start their watcher."""
    if sys.platform != "linux":
        return
    os.environ[MARK] = uuid4().hex
    watcher = subprocess.Popen(
        [sys.executable, "-I", __file__, os.environ[MARK]],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    # Registered first, so called last: it keeps the pipe open to the very end.
    atexit.register(watcher.poll)


def main(mark: str) -> None:
    """Wait for the end of the run, then end what is left of it."""
    sys.stdin.buffer.read()
    entry = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(folder.name) != os.getpid() and entry in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
