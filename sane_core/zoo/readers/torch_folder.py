"""Folders and globs of PyTorch state dicts: a checkpoint per file.

Run and epoch come from a name pattern or a table; without either, every file is a run of its own
at epoch 0. A checkpoint in several `.bin` shards is rejected, and says how to convert it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.readers.labels import Labels
from sane_core.zoo.readers.reader import FORMAT, Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import (
    exists,
    has_file,
    locate,
    relative_name,
    state_lines,
    walk_files,
)

SUFFIXES = (".pt", ".pth", ".th", ".bin")
NO_NETWORKS = frozenset(
    ["optimizer.bin", "optimizer.pt", "scaler.pt", "scheduler.pt", "training_args.bin"]
)
"""What training scripts put beside networks under the same suffixes."""


@dataclass(frozen=True)
class TorchFolder:
    """Reads `.pt`, `.pth`, `.th` and `.bin` files."""

    name: str = "torch"
    specificity: int = FORMAT

    def recognises(self, source: str) -> bool:
        """Whether there is a file with one of the suffixes."""
        return exists(source) and has_file(_files(source))

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find every file with one of the suffixes."""
        root = locate(source).root
        labels = Labels.load(root, options)
        for path in _files(source):
            if isinstance(path, Rejected):
                yield path
                continue
            file = relative_name(path, root)
            yield labels.label(path, file, file, licence=None)

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every file and table."""
        root = locate(source).root
        yield from state_lines(_files(source), root)
        yield from state_lines(Labels.files(root, options), root)

    def read(self, found: Found) -> Contents:
        """Read a file."""
        return read_tensors(found.path)


def _files(source: str) -> Iterator[Path | Rejected]:
    for path in walk_files(locate(source), SUFFIXES):
        if isinstance(path, Rejected) or path.name not in NO_NETWORKS:
            yield path
