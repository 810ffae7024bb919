"""A table reads the same as text, Markdown and HTML."""

import pytest

from sane_core.reporting.rendering import as_csv, as_html, as_markdown, as_text
from sane_core.reporting.table import Table

TABLE = Table("T <1>", ("start", "ours | n"), (("a", "1.0 ± 0.1"), ("long name", "–")), ("A & b.",))


def test_text_stands_in_columns() -> None:
    lines = as_text([TABLE], ["Nothing else."]).splitlines()
    assert lines[2:6] == [
        "start      ours | n",
        "─────────  ─────────",
        "a          1.0 ± 0.1",
        "long name  –",
    ]
    assert lines[-1] == "Nothing else."


def test_bars_in_cells_do_not_break_markdown() -> None:
    assert "| start | ours \\| n |" in as_markdown([TABLE])


def test_html_escapes_what_it_shows_and_needs_nothing_else() -> None:
    page = as_html("P & q", [TABLE], ["<no>"], ["<svg></svg>"])
    assert "T &lt;1&gt;" in page
    assert "<p>&lt;no&gt;</p>" in page
    assert "<div><svg></svg></div>" in page
    assert "http" not in page
    assert "<script" not in page


@pytest.mark.parametrize("render", [as_text, as_markdown])
def test_no_tables_leave_the_sentences(render: object) -> None:
    assert callable(render)
    assert render([], ["Missing."]) == "Missing.\n"


def test_csv_quotes_what_needs_it() -> None:
    assert as_csv(("a", "b"), [("x,y", "z")]) == 'a,b\n"x,y",z\n'
