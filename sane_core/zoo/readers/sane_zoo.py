"""Zoos as this project keeps them: `checkpoints.parquet` beside `weights/*.parquet`."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sane_core.samples import sample_zoo
from sane_core.zoo.files import read_checkpoint
from sane_core.zoo.formats.contents import Contents, Property
from sane_core.zoo.formats.refused import Refused
from sane_core.zoo.readers.reader import LAYOUT, METRICS, Found, Rejected, ScanOptions
from sane_core.zoo.readers.sources import exists, locate, state_lines, walk_files
from schemas.errors import UserError

TABLE, WEIGHTS = "checkpoints.parquet", "weights"
SAMPLE = "sample:"
"""Before the name of a zoo that ships with the package."""


@dataclass(frozen=True)
class SaneZoo:
    """Reads zoos that were made here, and `sample:NAME`."""

    name: str = "sane"
    specificity: int = LAYOUT

    def recognises(self, source: str) -> bool:
        """Whether both are there."""
        if source.startswith(SAMPLE):
            return True
        root = Path(source)
        return exists(source) and (root / TABLE).is_file() and (root / WEIGHTS).is_dir()

    def scan(self, source: str, options: ScanOptions) -> Iterator[Found | Rejected]:
        """Give every row of the table.

        Raises:
            UserError: If the table cannot be read, or a pattern or table is given.
        """
        if options.pattern or options.table:
            raise UserError("pattern and table must not be given for a zoo that has its own table")
        root = locate(_folder(source)).root
        rows = _rows(root / TABLE)
        size = sum(path.stat().st_size for path in (root / WEIGHTS).glob("*.parquet"))
        for row in rows:
            run, epoch = int(row["run"]), int(row["epoch"])
            yield Found(
                run=row.get("run_name") or f"run {run}",
                epoch=epoch,
                path=root / WEIGHTS,
                file=f"{WEIGHTS}, run {run}, epoch {epoch}",
                number=run,
                bytes=size // len(rows),
                properties=_known(row.get("hyperparameters") or {}),
                metrics={name: row[name] for name in METRICS if row.get(name) is not None},
                licence=row.get("licence"),
                architecture=row.get("architecture"),
            )

    def state(self, source: str, options: ScanOptions) -> Iterator[str]:
        """Give name, size and time of change of every Parquet file."""
        del options
        place = locate(_folder(source))
        yield from state_lines(walk_files(place, (".parquet",)), place.root)

    def read(self, found: Found) -> Contents:
        """Read a checkpoint.

        Raises:
            Refused: If its weights are not there, or are no Parquet.
        """
        try:
            entries, dtypes = read_checkpoint(found.path, found.number, found.epoch)
        except (ValueError, KeyError, pa.ArrowException) as error:
            raise Refused(
                f"a checkpoint of the table must have its weights: {error}",
                "copy the zoo again, with its weights",
            ) from error
        digest = hashlib.sha256()
        for name, values in entries.items():
            digest.update(name.encode())
            digest.update(values.tobytes())
        return Contents(entries, dtypes, {}, digest.hexdigest())


def _folder(source: str) -> str:
    """Return the folder of a source.

    Raises:
        UserError: If no sample zoo has that name.
    """
    if not source.startswith(SAMPLE):
        return source
    try:
        return str(sample_zoo(source.removeprefix(SAMPLE)))
    except ValueError as error:
        raise UserError(str(error)) from error


def _rows(table: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{table} must be a Parquet table of checkpoints: {error}") from error
    if rows and not {"run", "epoch"} <= rows[0].keys():
        raise UserError(f"{table} must have the columns run and epoch, got {[*rows[0]]}")
    return rows


def _known(values: Mapping[str, Any]) -> dict[str, Property]:
    return {name: value for name, value in values.items() if isinstance(value, int | float | str)}
