"""`sane analyse`: the layers of checkpoint files. Heavy imports stand inside the command."""

from pathlib import Path
from typing import Annotated

import typer

from flows.loading import Device, explained, load_sane

SHOWN = ("analysis_means", "analysis_missing")


def analyse(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints: PyTorch files, safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("analysis"),
    model: Annotated[
        str | None,
        typer.Option(help="Name of a SANE that ships, or a folder; without it, spectra only."),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Measure each layer's spectrum and, with a SANE, the spread of its tokens."""
    from sane_core.api.analyse import analyse_files
    from schemas.errors import UserError

    sane = load_sane(model, device) if model else None
    try:
        with explained("the files cannot be analysed"):
            analyse_files(files, out, sane)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error
    _print(out)


def _print(out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sane_core.reporting.table import read_tables

    for name, made in read_tables(out / "tables.json").items():
        if name in SHOWN:
            table = Table(*made.columns, title=made.title)
            for row in made.rows:
                table.add_row(*map(escape, row))
            Console().print(table)
    typer.echo(f"Tables:  {out / 'layers.parquet'}, {out / 'networks.parquet'}")
    typer.echo(f"Figures: {out / 'figures'}")
