"""Tables as plain text, Markdown, one HTML page, or CSV."""

import csv
import html
import io
import unicodedata
from collections.abc import Sequence
from textwrap import wrap

from sane_core.reporting.table import Table

WIDTH = 100
"""Columns that notes are wrapped at in plain text; tables are as wide as they are."""
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "div{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}"
    "td,th{padding:.2rem .6rem;text-align:left;white-space:nowrap;border-bottom:1px solid #ddd}"
    "p.note{color:#555;font-size:.85rem;margin:.3rem 0}"
)


def as_text(tables: Sequence[Table], sentences: Sequence[str] = ()) -> str:
    """Return tables in columns, notes under them.

    Args:
        tables: What to show.
        sentences: What else is to be said, at the end.
    """
    parts = [_columns(table) for table in tables]
    return "\n\n".join([*parts, *sentences]) + "\n"


def as_markdown(tables: Sequence[Table], sentences: Sequence[str] = ()) -> str:
    """Return tables as Markdown; arguments as of `as_text`."""
    parts = []
    for table in tables:
        lines = [f"### {table.title}", "", _piped(table.columns)]
        lines += [_piped(["---"] * len(table.columns)), *map(_piped, table.rows)]
        parts.append("\n".join([*lines, *(f"\n{note}" for note in table.notes)]))
    return "\n\n".join([*parts, *sentences]) + "\n"


def as_html(
    title: str,
    tables: Sequence[Table],
    sentences: Sequence[str] = (),
    drawings: Sequence[str] = (),
) -> str:
    """Return one page that needs nothing else.

    Args:
        title: Of the page.
        tables: What to show.
        sentences: What else is to be said, at the end.
        drawings: Figures as SVG.
    """
    parts = [f"<div>{drawing}</div>" for drawing in drawings]
    for table in tables:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.columns)
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
        parts.append(
            f"<h2>{html.escape(table.title)}</h2><div><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
        parts += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    parts += [f"<p>{html.escape(sentence)}</p>" for sentence in sentences]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a heading and rows for machines."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _columns(table: Table) -> str:
    widths = [
        max(map(_width, cells)) for cells in zip(table.columns, *table.rows, strict=True)
    ] or [0]
    rule = "  ".join("─" * width for width in widths)
    lines = [table.title, "", _padded(table.columns, widths), rule]
    lines += [_padded(row, widths) for row in table.rows]
    notes = [line for note in table.notes for line in wrap(note, WIDTH)]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    """Return how many columns a terminal shows it in: combining marks take none."""
    return sum(not unicodedata.combining(letter) for letter in text)


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"
