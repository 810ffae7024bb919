"""A script, not a module to import: `ffcv_writer.py FOLDER PARENT` writes `FOLDER/out.beton`.

`FOLDER` holds `job.json` and a plain file per field (see `write.py`, which starts and watches
this). One worker, so that the same input gives the same bytes. It ends with an error as soon as
FFCV's worker has died; FFCV itself would wait for that worker for ever. Both end with the process
that started them.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sane_core.processes import end_with


class Samples:
    """The staged windows as the indexable data set that FFCV asks for."""

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        count = job["samples"]
        self.arrays = [
            np.memmap(folder / name, dtype=dtype, mode="r", shape=(count, *shape))
            for name, (dtype, shape) in job["arrays"].items()
        ]
        self.integers = [np.fromfile(folder / name, dtype="<i8") for name in job["integers"]]

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, sample: int) -> tuple[Any, ...]:
        return (*(array[sample] for array in self.arrays), *(v[sample] for v in self.integers))


def exit_with_the_worker() -> None:
    """End this process, from a thread, once its first child to end has failed: FFCV's worker.

    The child is looked at and left (`WNOWAIT`), so it cannot be missed however early it died.
    """
    while True:
        with suppress(ChildProcessError):  # not started yet
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            break
        time.sleep(0.02)
    if ended is None or ended.si_status != 0:
        os._exit(70)


def main(folder: Path) -> None:
    """Write the job in `folder`."""
    # FFCV reports its progress with tqdm, into what becomes the text of an error.
    os.environ["TQDM_DISABLE"] = "1"
    # Writing needs nothing compiled, and FFCV's import compiles for seconds.
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    from ffcv.fields import IntField, NDArrayField
    from ffcv.writer import DatasetWriter

    job = json.loads((folder / "job.json").read_text())
    fields = {
        name: NDArrayField(np.dtype(dtype), tuple(shape))
        for name, (dtype, shape) in job["arrays"].items()
    } | {name: IntField() for name in job["integers"]}
    threading.Thread(target=exit_with_the_worker, daemon=True).start()
    output = str(folder / "out.beton")
    writer = DatasetWriter(output, fields, page_size=job["page_size"], num_workers=1)
    writer.from_indexed_dataset(Samples(folder, job))


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    os.register_at_fork(after_in_child=partial(end_with, os.getpid()))
    main(Path(sys.argv[1]))
