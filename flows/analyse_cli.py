"""`sane analyse`: the layers of checkpoint files. Heavy imports stand inside the command."""

from pathlib import Path
from typing import Annotated

import typer

SHOWN = ("analysis_means", "analysis_missing")


def analyse(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints: PyTorch files, safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("analysis"),
    model: Annotated[
        str | None,
        typer.Option(help="Name of a SANE that ships, or a folder; without it, spectra only."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the autoencoder runs: cpu, cuda, cuda:1.")
    ] = "cpu",
) -> None:
    """Measure each layer's spectrum and, with a SANE, the spread of its tokens."""
    from sane_core.api.analyse import analyse_files
    from sane_core.api.sane import Sane
    from schemas.errors import UserError

    try:
        analyse_files(files, out, Sane.load(model, device) if model else None)
    except ValueError as error:
        raise UserError(f"the files cannot be analysed: {error}") from error
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
