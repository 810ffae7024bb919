"""`sane report`: the paper's tables, collected from what a store holds.

Heavy imports stand inside the command.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from flows.report_tables import Answer

Format = Literal["text", "markdown", "html", "csv"]
_OF_SUFFIX: dict[str, Format] = {".md": "markdown", ".html": "html", ".csv": "csv"}
DRAWN = (".png", ".svg")


def report(
    table: Annotated[
        str | None,
        typer.Argument(help="Which: table1 to table17, figure5, figure6 or front; see --list."),
    ] = None,
    store: Annotated[str, typer.Option(help="The store to collect from: a folder or URI.")] = (
        "store"
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; .png or .svg for the drawing of figure5 or front."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="By the ending of --out if not given, else text."),
    ] = None,
    overview: Annotated[
        bool, typer.Option("--list", help="Say which tables there are, and what of them is there.")
    ] = False,
) -> None:
    """Collect TABLE from every run in the store, beside the paper's numbers."""
    from flows.report_tables import answer, overview_of
    from schemas.errors import UserError

    if overview == (table is not None):
        raise UserError("give the name of a table, or --list for their names (not both)")
    if table is None:
        typer.echo(overview_of(store), nl=False)
        return
    found = answer(table, store)
    if out is not None and out.suffix in DRAWN:
        _draw(found, out, table)
    else:
        text = found.rendered(form or _OF_SUFFIX.get(out.suffix if out else "", "text"))
        if out is None:
            typer.echo(text, nl=False)
            return
        _write(out, lambda path: path.write_text(text, encoding="utf-8"))
    typer.echo(f"Written: {out}")
    for sentence in found.sentences:
        typer.echo(sentence)


def _draw(found: "Answer", out: Path, table: str) -> None:
    from sane_core.reporting.canvas import save
    from schemas.errors import UserError

    if found.figure is None:
        why = " ".join(found.sentences) or "give another ending to --out, as .html"
        raise UserError(f"there is no drawing of {table}: {why}")
    figure = found.figure
    _write(out, lambda path: save(figure, path))


def _write(out: Path, write: Callable[[Path], object]) -> None:
    from schemas.errors import UserError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error
