"""Entries laid out as a table to read, a row per method or features, and as rows for machines."""

from collections.abc import Sequence

from sane_core.reporting.beside.entries import MISSING, Entry, Measured, Unit
from sane_core.reporting.likeness import explained
from sane_core.reporting.table import Table

FLAT = (
    "table",
    "title",
    "row",
    "at",
    "ours",
    "ours_std",
    "ours_low",
    "ours_high",
    "n",
    "paper",
    "paper_std",
    "difference",
    "compared",
    "seed",
    "source",
)
"""Columns for machines, a row per entry."""
FIRST, LAST = ("n", "seed", "compared"), ("from",)
"""Columns that say what a row is of; left out where none has anything to say."""


def beside_table(
    title: str, heading: str, entries: Sequence[Entry], unit: Unit, notes: Sequence[str] = ()
) -> Table:
    """Lay entries out: rows as they come, a group of columns per thing measured.

    Args:
        title: Of the table.
        heading: Over the rows' names.
        entries: In the order that rows and columns are to stand in.
        unit: Of all values.
        notes: What else is to be said.
    """
    groups = list(dict.fromkeys(entry.at for entry in entries))
    compared = {entry.at for entry in entries if entry.paper}
    rows: dict[tuple[str, str, str], dict[str, Entry]] = {}
    for entry in entries:
        key = (entry.row, entry.source.artifact, entry.source.told)
        rows.setdefault(key, {})[entry.at] = entry
    columns = [heading, *FIRST]
    for at in groups:
        columns += [at, "paper", "ours − paper"] if at in compared else [at]
    lines = []
    for (name, artifact, seed), cells in rows.items():
        label = next(iter(cells.values())).likeness
        count = _count([entry.ours for entry in cells.values() if entry.ours])
        line = [name, count, seed, label]
        for at in groups:
            line += _cells(cells.get(at), unit, at in compared)
        lines.append((*line, shortened(artifact)))
    told = explained({entry.likeness for entry in entries})
    return _without_empty(Table(title, (*columns, *LAST), tuple(lines), (*notes, *told)))


def flat_rows(table: str, title: str, entries: Sequence[Entry]) -> list[list[str]]:
    """Return the entries' values in full, columns as `FLAT`; an empty cell is not known."""
    return [
        [
            *(table, title, entry.row, entry.at),
            *_numbers_of(entry.ours),
            _number(entry.paper.mean if entry.paper else None),
            _number(entry.paper.std if entry.paper else None),
            _number(entry.difference),
            *(entry.likeness, entry.source.told, entry.source.artifact),
        ]
        for entry in entries
    ]


def _cells(entry: Entry | None, unit: Unit, compared: bool) -> list[str]:
    if entry is None:
        return [MISSING] * (3 if compared else 1)
    ours = entry.ours.text(unit) if entry.ours else MISSING
    if not compared:
        return [ours]
    difference = MISSING if entry.difference is None else unit.text(entry.difference, "+")
    paper = Measured(entry.paper.mean, std=entry.paper.std).text(unit) if entry.paper else MISSING
    return [ours, paper, difference]


def shortened(artifact: str) -> str:
    """Return stage and first letters of the key: enough to find its folder."""
    stage, _, key = artifact.partition("/")
    return f"{stage}/{key[:8]}" if key else stage


def _count(found: Sequence[Measured]) -> str:
    """Return how many a row's values are of, from the fewest to the most."""
    counts = sorted({measured.n for measured in found if measured.n})
    if not counts:
        return ""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def _numbers_of(ours: Measured | None) -> list[str]:
    if ours is None:
        return [""] * 5
    low, high = ours.interval or (None, None)
    return [*map(_number, (ours.mean, ours.std, low, high)), str(ours.n or "")]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _without_empty(table: Table) -> Table:
    """Leave out the columns about a row that are empty in every row."""
    told = {*FIRST, *LAST}
    kept = [
        at
        for at, name in enumerate(table.columns)
        if name not in told or any(row[at] for row in table.rows)
    ]
    columns = tuple(table.columns[at] for at in kept)
    rows = tuple(tuple(row[at] for at in kept) for row in table.rows)
    return Table(table.title, columns, rows, table.notes)
