"""What is known of a checkpoint beside its tensors: from its name, and from a table beside it.

Where both say the same thing the table counts, and what the file itself says comes last.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sane_core.zoo.formats.contents import Property
from sane_core.zoo.readers.metrics import percent_to_fraction, split_metrics
from sane_core.zoo.readers.name_pattern import NamePattern
from sane_core.zoo.readers.reader import Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import check_file, size_of
from schemas.errors import UserError

TABLES = ("zoo.csv", "zoo.parquet")
"""Tables that are taken where none is named."""

SUFFIXES = (".safetensors.index.json", ".safetensors", ".pth", ".pt", ".th", ".bin")
"""What is no part of a run's name."""

LARGEST_TABLE = 256 * 2**20
"""Bytes of a table."""


@dataclass(frozen=True)
class Labels:
    """Everything a user says about the files of a source.

    Attributes:
        pattern: Form of names, or None.
        rows: File, relative to the source -> row of the table.
    """

    pattern: NamePattern | None
    rows: Mapping[str, Mapping[str, Property]]

    @classmethod
    def load(cls, root: Path, options: ScanOptions) -> "Labels":
        """Read what the options name.

        Raises:
            UserError: If the pattern or the table cannot be used.
        """
        pattern = NamePattern(options.pattern) if options.pattern else None
        names = _table_names(root, options)
        if len(names) > 1:
            raise UserError(
                f"there must be one table beside the files, got {' and '.join(names)}; name the "
                "one meant (table)"
            )
        return cls(pattern, _read_table(root, names[0]) if names else {})

    @staticmethod
    def files(root: Path, options: ScanOptions) -> list[Path]:
        """Return the tables that `load` reads."""
        return [root / name for name in _table_names(root, options)]

    def label(self, path: Path, file: str, name: str, licence: str | None) -> Found | Rejected:
        """Return a checkpoint with what is known of it.

        Args:
            path: File to open.
            file: The same, relative to the source.
            name: What the pattern and the table call it: the file, or its folder.
            licence: Its licence, if known.
        """
        known: dict[str, Property] = {}
        if self.pattern:
            fields = self.pattern.match(name)
            if fields is None:
                return Rejected(
                    file,
                    f"its name must fit the pattern {self.pattern.text!r}",
                    "change the pattern, or leave the file out with a glob",
                )
            known |= {key: _number(text) for key, text in fields.items() if key != "run"}
            known |= {"run": fields["run"]} if "run" in fields else {}
        known |= self.rows.get(name, {})
        run, epoch = str(known.pop("run", _stem(name))), known.pop("epoch", 0)
        if not isinstance(epoch, int) or not 0 <= epoch < 2**31:
            return Rejected(
                file, f"its epoch must be an integer >= 0, got {epoch!r}", "correct it", run
            )
        metrics, properties = split_metrics(known)
        return Found(
            run=run,
            epoch=epoch,
            path=path,
            file=file,
            bytes=size_of(path),
            properties=properties,
            metrics=metrics,
            licence=licence,
        )


def _table_names(root: Path, options: ScanOptions) -> list[str]:
    return [options.table] if options.table else [n for n in TABLES if (root / n).is_file()]


def _read_table(root: Path, name: str) -> dict[str, dict[str, Property]]:
    path = root / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise UserError(f"the table must lie within the source, got {name!r}; move it there")
    wrong = check_file(path, root)
    if wrong or size_of(path) > LARGEST_TABLE:
        why = wrong.reason if wrong else f"it must have at most {LARGEST_TABLE} bytes"
        raise UserError(f"table {name!r} cannot be read: {why}; check the path")
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else pa.csv.read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"table {name!r} must be CSV with a header or Parquet, got: {error}; correct it"
        ) from error
    if "file" not in table.column_names:
        raise UserError(
            f"table {name!r} must have a column file (paths relative to the source), "
            f"got {table.column_names}; add it"
        )
    rows = {}
    for row in table.to_pylist():
        file = str(row.pop("file"))
        if file in rows:
            raise UserError(f"table {name!r} must name a file once, got {file!r} twice")
        rows[file] = {key: _plain(value) for key, value in row.items() if value is not None}
    return dict(zip(rows, percent_to_fraction(rows.values()), strict=True))


def _plain(value: object) -> Property:
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float | str) else str(value)


def _number(text: str) -> Property:
    """Return a name's field as a number where it is one in plain digits."""
    if not text.isascii() or len(text) > 30:
        return text
    if text.isdecimal():
        return int(text)
    return float(text) if re.fullmatch(r"-?\d*\.?\d+(e-?\d+)?", text) else text


def _stem(name: str) -> str:
    """Return a name without the suffix of a weight file; dots of folders stay."""
    suffix = next((s for s in SUFFIXES if name.endswith(s)), "")
    return name.removesuffix(suffix) or name
