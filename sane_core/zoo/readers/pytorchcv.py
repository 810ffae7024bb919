"""The files that pytorchcv publishes: `resnet20_cifar10-0597-9b0024ac.pth`, in a flat folder.

A name is model and data set, error in 1/10,000, and the first eight hexadecimal digits of the
file's SHA-1; beside it, or instead of it, may stand the archive that was downloaded, `….pth.zip`.
The error of ImageNet models is *top-5*: it is kept as a property and is no accuracy here, where
accuracies are top-1. What layers are called and which architecture it is: `pytorchcv_names.py`.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sane_core.zoo.formats.contents import Contents, Property
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.packed import unpack
from sane_core.zoo.formats.refused import FETCH_AGAIN, Refused
from sane_core.zoo.formats.tensors import torch_contents
from sane_core.zoo.formats.whole_file import read_file
from sane_core.zoo.readers.pytorchcv_names import DATA, IMAGENET, specification, with_our_names
from sane_core.zoo.readers.reader import LAYOUT, Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import (
    exists,
    locate,
    relative_name,
    size_of,
    state_lines,
    walk_files,
)
from schemas.errors import UserError

SUFFIXES = (".pth", ".pth.zip")
_NAME = re.compile(r"([a-z0-9_]{1,100})-(\d{4})-([0-9a-f]{8})\.pth(?:\.zip)?", re.ASCII)
_DATA = re.compile(rf"(.+)_({'|'.join(DATA)})", re.ASCII)
_UNIT = 1e-4
"""Of errors in names."""


@dataclass(frozen=True)
class Pytorchcv:
    """Reads folders of pytorchcv's files, as `~/.torch/models`."""

    name: str = "pytorchcv"
    specificity: int = LAYOUT

    def recognises(self, source: str) -> bool:
        """Whether any file has a name of this form."""
        return exists(source) and any(
            isinstance(path, Path) and _NAME.fullmatch(path.name) for path in _files(source)
        )

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find every file; each is a run of its own at epoch 0."""
        if options.pattern or options.table:
            raise UserError(
                "pytorchcv's files take their facts from their names, got a pattern or a table; "
                "leave them out, or name the reader torch"
            )
        root = locate(source).root
        for path in _files(source):
            yield path if isinstance(path, Rejected) else _found(path, relative_name(path, root))

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every file."""
        del options
        yield from state_lines(_files(source), locate(source).root)

    def read(self, found: Found) -> Contents:
        """Read a file, or the one in an archive; its SHA-1 must be that in its name."""
        limits = Limits()
        data = read_file(found.path, limits.bytes)
        if found.path.name.endswith(".zip"):
            data = unpack(data, found.path.name.removesuffix(".zip"), limits)
        _check_digest(data, found.path.name)
        contents = torch_contents(data, limits)
        names = with_our_names(list(contents.tensors))
        return replace(
            contents,
            tensors={names[key]: values for key, values in contents.tensors.items()},
            dtypes={names[key]: dtype for key, dtype in contents.dtypes.items()},
        )


def _files(source: str) -> Iterator[Path | Rejected]:
    yield from walk_files(locate(source), SUFFIXES)


def _found(path: Path, file: str) -> Found | Rejected:
    """Return what a file's name says of it."""
    parts = _NAME.fullmatch(path.name)
    if parts is None:
        return Rejected(
            file,
            "its name must be MODEL-ERROR-SHA1.pth, with four digits and eight of SHA-1, or its "
            "archive's, as resnet20_cifar10-0597-9b0024ac.pth",
            "leave it out with a glob, or read the folder with the reader torch",
        )
    model, data = _model_and_data(parts[1])
    error = int(parts[2]) * _UNIT
    properties: dict[str, Property] = {"model": model, "data": data}
    metrics = {}
    if data == IMAGENET:
        properties["top5_error"] = round(error, 4)
    elif DATA[data].is_top1:
        metrics["test_accuracy"] = round(1 - error, 4)
    return Found(
        run=path.name.removesuffix(".zip").removesuffix(".pth"),
        epoch=0,
        path=path,
        file=file,
        bytes=size_of(path),
        properties=properties,
        metrics=metrics,
        architecture=specification(model, data),
    )


def _model_and_data(name: str) -> tuple[str, str]:
    """Part `resnet20_cifar10`; what names no data set was trained on ImageNet."""
    parts = _DATA.fullmatch(name)
    return (parts[1], parts[2]) if parts else (name, IMAGENET)


def _check_digest(data: bytes, name: str) -> None:
    """Refuse a file that is not the one its name is of."""
    wanted = name.removesuffix(".zip").removesuffix(".pth").rpartition("-")[2]
    got = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if not got.startswith(wanted):
        raise Refused(
            f"the SHA-1 of the file must begin with {wanted}, as its name says, got {got[:8]}",
            f"{FETCH_AGAIN}; give a file that you changed another name and read it with the "
            "reader torch",
        )
