"""A script: `ffcv_oracle.py FOLDER…` has FFCV's own writer write what is staged in each folder.

A folder holds `job.json` and a `.npy` per field; `oracle.beton` is written beside them. It runs as
a process of its own, as FFCV waits for ever for a worker that has died.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
    """Write the file of a folder on one worker."""
    from ffcv.fields import IntField, NDArrayField
    from ffcv.writer import DatasetWriter

    job = json.loads((folder / "job.json").read_text())
    arrays = {name: np.load(folder / f"{name}.npy") for name in job["fields"]}
    fields = {
        name: NDArrayField(array.dtype, array.shape[1:]) if array.ndim > 1 else IntField()
        for name, array in arrays.items()
    }
    samples = list(zip(*arrays.values(), strict=True))
    output = str(folder / "oracle.beton")
    writer = DatasetWriter(output, fields, page_size=job["page_size"], num_workers=1)
    writer.from_indexed_dataset(samples)


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    # Writing needs nothing compiled, and FFCV's import compiles for seconds.
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    for name in sys.argv[1:]:
        write(Path(name))
