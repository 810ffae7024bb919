"""One table to read, and its way to JSON and back.

`read_tables(path)` gives what `write_tables(path, tables)` was given.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """A table to read.

    Attributes:
        title: What it shows.
        columns: Headings.
        rows: Cells as text, as many per row as there are columns.
        notes: Sentences to print under it.

    Raises:
        ValueError: If a row does not fit the headings.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"every row of table {self.title!r} must have {len(self.columns)} cells, "
                    f"got {len(row)}: {row}"
                )


def write_tables(path: Path, tables: Mapping[str, Table]) -> None:
    """Write tables by name as JSON."""
    contents = {name: asdict(table) for name, table in tables.items()}
    path.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_tables(path: Path) -> dict[str, Table]:
    """Read what `write_tables` wrote."""
    contents = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Table(
            table["title"],
            tuple(table["columns"]),
            tuple(tuple(row) for row in table["rows"]),
            tuple(table["notes"]),
        )
        for name, table in contents.items()
    }
