"""Data-parallel training: `python -m sane_core.pretraining.launch JOB.json PARENT PROCESSES`.

It is `torchrun` (`torch.distributed.run`) that ends with the process that started it. Its processes
run `worker` and end with it in turn; where one of them dies, it ends the others. Why the first of
them died is the last line that it says, as of a process that trains alone.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from sane_core.processes import end_with


def main(path: Path, parent: int, processes: int) -> str | None:
    """Train in processes that end together; return what went wrong, if something did."""
    end_with(parent)
    # Imported when it cannot be left behind any more.
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    options = ["--standalone", f"--nproc-per-node={processes}", "--max-restarts=0"]
    worker = ["-m", "sane_core.pretraining.worker", str(path), f"{os.getpid()}"]
    try:
        # Not in the scratch folder: its disk may be full, and what failed is told in here.
        with tempfile.TemporaryDirectory(prefix="sane-processes-") as notes:
            torchrun([*options, f"--log-dir={notes}", *worker])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        # A dictionary where the process could still tell an exception, else advice on torchrun.
        message: Any = failure.message
        said = message["message"] if isinstance(message, dict) else ""
        reason = said.splitlines()[0] if said else f"ended with exit code {failure.exitcode}"
        return f"process {rank} of {processes}: {reason}"
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
