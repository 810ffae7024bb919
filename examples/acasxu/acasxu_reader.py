"""A reader of ACAS-Xu networks: the text format `.nnet`, 45 networks on a grid.

A file `ACASXU_run2a_<a>_<t>_batch_2000.nnet` is the network for the previous advisory a and the
time-to-loss index t. Lines starting with `//` are comments; then come sizes, input bounds and
normalization, and for every layer its rows of weights and its biases, a number per line.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused
from sane_core.zoo.formats.whole_file import read_file
from sane_core.zoo.readers.reader import LAYOUT, Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import (
    exists,
    has_file,
    locate,
    relative_name,
    size_of,
    state_lines,
    walk_files,
)

LICENCE = "cc-by-4.0"
"""What the files' own first lines say."""
LARGEST = 16 * 2**20
"""Bytes of a file."""
WIDEST = 4096
"""Units of a layer."""
HEADER_LINES = 7
"""Sizes, widths, a flag, two bounds of the inputs, means, ranges."""

_GRID = re.compile(r".*_(\d+)_(\d+)_batch_\d+", re.ASCII)


@dataclass(frozen=True)
class AcasXu:
    """Reads folders, globs and files of `.nnet`."""

    name: str = "acasxu"
    specificity: int = LAYOUT

    def recognises(self, source: str) -> bool:
        """Whether there is a `.nnet` file."""
        return exists(source) and has_file(_files(source))

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find every file; each is a run of its own."""
        del options
        root = locate(source).root
        for path in _files(source):
            if isinstance(path, Rejected):
                yield path
                continue
            grid = _GRID.fullmatch(path.stem)
            yield Found(
                run=path.stem,
                epoch=0,
                path=path,
                file=relative_name(path, root),
                bytes=size_of(path),
                properties={"advisory": int(grid[1]), "time_to_loss": int(grid[2])} if grid else {},
                licence=LICENCE,
            )

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every file."""
        del options
        yield from state_lines(_files(source), locate(source).root)

    def read(self, found: Found) -> Contents:
        """Read a network, under the names of the architecture `mlp`."""
        data = read_file(found.path, LARGEST)
        tensors = _tensors(data)
        dtypes = dict.fromkeys(tensors, "float32")
        return Contents(tensors, dtypes, {}, hashlib.sha256(data).hexdigest())


def _files(source: str) -> Iterator[Path | Rejected]:
    return walk_files(locate(source), (".nnet",))


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    lines = [line for line in data.split(b"\n") if line.strip() and not line.startswith(b"//")]
    try:
        layers = int(lines[0].split(b",")[0])
        widths = [int(field) for field in lines[1].split(b",") if field.strip()]
    except (IndexError, ValueError):
        raise Refused("a .nnet file must start with its sizes", FETCH_AGAIN) from None
    if len(widths) != layers + 1 or not all(0 < width <= WIDEST for width in widths):
        raise Refused(
            f"a .nnet file must give 1 to {WIDEST} units for each of {layers} layers and the "
            f"inputs, got {widths[:20]}",
            FETCH_AGAIN,
        )
    tensors, at = {}, HEADER_LINES
    for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        # The `mlp` flattens at place 0, and each activation takes a place.
        name = f"module_list.{2 * layer + 1}"
        tensors[f"{name}.weight"] = _rows(lines[at : at + outputs], outputs, inputs)
        tensors[f"{name}.bias"] = _rows(lines[at + outputs : at + 2 * outputs], outputs, 1)[:, 0]
        at += 2 * outputs
    return tensors


def _rows(lines: list[bytes], rows: int, columns: int) -> np.ndarray:
    """Return numbers [rows, columns]; each line ends with a comma."""
    if len(lines) < rows:
        raise Refused("the file is cut off within its weights", FETCH_AGAIN, incomplete=True)
    try:
        values = [
            [float(field) for field in line.strip().strip(b",").split(b",")] for line in lines
        ]
    except ValueError:
        raise Refused("a .nnet file must hold numbers", FETCH_AGAIN) from None
    if any(len(row) != columns for row in values):
        raise Refused(f"a row of weights must have {columns} numbers", FETCH_AGAIN)
    return np.array(values, np.float32)
