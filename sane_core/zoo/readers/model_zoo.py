"""The layout that the published model zoos have on disk (paper §3; Schürholt et al., 2022).

A run is a folder with `checkpoint_<epoch>/checkpoints` (epochs with or without leading zeros),
`params.json` and `result.json`. Metrics are joined to checkpoints by `training_iteration`: whether
a run's first line is the untrained network (iteration 0) or epoch 1 makes no difference.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sane_core.zoo.formats.contents import Contents, Property
from sane_core.zoo.formats.plain_json import read_json, read_json_lines
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.formats.tensors import read_tensors
from sane_core.zoo.readers.metrics import NAMES, percent_to_fraction, split_metrics
from sane_core.zoo.readers.reader import LAYOUT, Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import (
    Place,
    check_file,
    linked_folders,
    locate,
    natural_key,
    relative_name,
    size_of,
    state_lines,
    subfolders,
    walk,
)
from schemas.errors import UserError

_CHECKPOINT = re.compile(r"checkpoint_(\d{1,9})", re.ASCII)
_TRIAL = re.compile(r".*_trainable_[^_]+_(\d{1,9})_", re.ASCII)
_FILE, _PARAMETERS, _RESULT = "checkpoints", "params.json", "result.json"
_DEEPEST = 3
"""Folders between a zoo and its runs, at most."""


@dataclass(frozen=True)
class ModelZoo:
    """Reads zoos laid out as the published ones."""

    name: str = "model-zoo"
    specificity: int = LAYOUT

    def recognises(self, source: str) -> bool:
        """Whether a folder, or one a few levels below it, is a run."""
        root = Path(source)
        return root.is_dir() and next(_runs(root), None) is not None

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Find the checkpoints of every run, runs by their number and epochs ascending."""
        if options.pattern or options.table:
            raise UserError(
                "a zoo in the published layout takes its facts from its own files, got a pattern "
                "or a table; leave them out, or name another reader"
            )
        root = locate(source).root
        yield from linked_folders(root, root)
        for number, _, folder in sorted(
            (_trial_number(folder), natural_key(relative_name(folder, root)), folder)
            for folder in _runs(root)
        ):
            yield from _scan_run(folder, root, number)

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every checkpoint, parameter and result file."""
        del options
        root = locate(source).root
        for folder in _runs(root):
            files = (p for p in walk(Place(folder)) if isinstance(p, Path))
            read = (p for p in files if p.name in (_FILE, _PARAMETERS, _RESULT))
            yield from state_lines(read, root)

    def read(self, found: Found) -> Contents:
        """Read a checkpoint."""
        return read_tensors(found.path)


def _runs(root: Path, deepest: int = _DEEPEST) -> Iterator[Path]:
    """Yield the folders that hold a run, in sorted order."""
    folders = list(subfolders(root))
    if any(_CHECKPOINT.fullmatch(folder.name) for folder in folders):
        yield root
    elif deepest:
        for folder in folders:
            yield from _runs(folder, deepest - 1)


def _trial_number(folder: Path) -> int:
    match = _TRIAL.match(folder.name)
    return int(match[1]) if match else 0


def _scan_run(folder: Path, root: Path, number: int) -> Iterator[Found | Rejected]:
    run = relative_name(folder, root) if folder != root else folder.resolve().name
    checkpoints = sorted(
        (int(match[1]), path)
        for path in subfolders(folder)
        if (match := _CHECKPOINT.fullmatch(path.name))
    )
    last = checkpoints[-1][0]
    try:
        properties = _parameters(folder, root)
        metrics = _metrics(folder, root, last)
    except Refused as refused:
        for epoch, path in checkpoints:
            file = relative_name(path / _FILE, root)
            yield Rejected(file, refused.reason, refused.remedy, run, epoch)
        return
    if folder != root:
        yield from linked_folders(folder, root)
    for epoch, path in checkpoints:
        file = relative_name(path / _FILE, root)
        if not (path / _FILE).exists():
            yield Rejected(
                file,
                f"a folder of a checkpoint must hold a file {_FILE!r}, got none",
                "copy the run again",
                run,
                epoch,
                incomplete=True,
            )
            continue
        wrong = check_file(path / _FILE, root)
        if wrong:
            yield Rejected(file, wrong.reason, wrong.remedy, run, epoch)
            continue
        yield Found(
            run=run,
            epoch=epoch,
            path=path / _FILE,
            file=file,
            number=number,
            bytes=size_of(path / _FILE),
            properties=properties,
            metrics=metrics.get(epoch, {}),
        )


def _parameters(folder: Path, root: Path) -> dict[str, Property]:
    """Return the hyper-parameters of a run; a nested one is `outer::inner`."""
    path = folder / _PARAMETERS
    found = read_json(path) if _usable(path, root) else {}
    if not isinstance(found, dict):
        raise Refused(f"{_PARAMETERS} must hold an object", "correct or remove it")
    return dict(_flat(found))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Property]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}::")
        elif isinstance(value, bool):
            yield prefix + key, int(value)
        elif isinstance(value, int | float | str):
            yield prefix + key, value


def _metrics(folder: Path, root: Path, last: int) -> dict[int, dict[str, float]]:
    """Return epoch -> metrics; where a run was resumed and an epoch stands twice, the later."""
    path = folder / _RESULT
    if not _usable(path, root):
        return {}
    lines = [line for line in read_json_lines(path).values if isinstance(line, dict)]
    known = percent_to_fraction(
        [{key: line[key] for key in NAMES if key in line} for line in lines]
    )
    epochs = _epochs(lines, last)
    return {
        epoch: split_metrics(row)[0]
        for epoch, row in zip(epochs, known, strict=True)
        if epoch is not None
    }


def _epochs(lines: list[dict[str, Any]], last: int) -> list[int | None]:
    """Return the epoch of every line, None where nothing says it.

    Without any `training_iteration` the number of lines decides: one more than the last epoch
    means that the first line is the untrained network, as many mean that it is epoch 1.
    """
    given = [line.get("training_iteration") for line in lines]
    if any(value is not None for value in given):
        return [v if isinstance(v, int) and not isinstance(v, bool) else None for v in given]
    if len(lines) in (last, last + 1):
        first = last + 1 - len(lines)
        return list(range(first, first + len(lines)))
    return [None] * len(lines)


def _usable(path: Path, root: Path) -> bool:
    """Whether a file is there; raise if it must not be opened."""
    if not path.exists() and not path.is_symlink():
        return False
    wrong = check_file(path, root)
    if wrong:
        raise Refused(f"{path.name}: {wrong.reason}", wrong.remedy)
    return True
