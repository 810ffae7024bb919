"""Folders and globs of safetensors, single and sharded.

A model is a file, or the index of its shards. The only model of a folder is called after the
folder, of several each after its file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sane_core.zoo.formats.contents import Contents
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.readers.labels import Labels
from sane_core.zoo.readers.models import Model, models_in
from sane_core.zoo.readers.reader import FORMAT, Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import (
    exists,
    has_file,
    locate,
    relative_name,
    state_lines,
    walk_files,
)

SUFFIX, INDEX = ".safetensors", ".safetensors.index.json"


@dataclass(frozen=True)
class SafetensorsFolder:
    """Reads `.safetensors` files, and `.safetensors.index.json` with their shards."""

    name: str = "safetensors"
    specificity: int = FORMAT

    def recognises(self, source: str) -> bool:
        """Whether there is a safetensors file."""
        return exists(source) and has_file(_files(source))

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find every model."""
        root = locate(source).root
        labels = Labels.load(root, options)
        for folder, files in _by_folder(source):
            models: list[Model] = []
            for found in models_in(files, root, SUFFIX, INDEX):
                if isinstance(found, Rejected):
                    yield found
                else:
                    models.append(found)
            for model in models:
                alone = len(models) == 1 and folder != root
                name = relative_name(folder if alone else model.path, root)
                file = relative_name(model.path, root)
                label = labels.label(model.path, file, name, licence=None)
                yield model.sized(label)

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every file and table."""
        root = locate(source).root
        yield from state_lines(_files(source), root)
        yield from state_lines(Labels.files(root, options), root)

    def read(self, found: Found) -> Contents:
        """Read a model."""
        return read_tensors(found.path)


def _files(source: str) -> Iterator[Path | Rejected]:
    return walk_files(locate(source), (SUFFIX, INDEX))


def _by_folder(source: str) -> Iterator[tuple[Path, list[Path | Rejected]]]:
    root = locate(source).root

    def folder_of(path: Path | Rejected) -> Path:
        return path.parent if isinstance(path, Path) else (root / path.file).parent

    for folder, files in groupby(_files(source), key=folder_of):
        yield folder, list(files)
