"""`sane data`: fetch image data, list what there is, check what lies here.

Everything heavy is imported inside the commands, so `sane --help` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import UserError

app = typer.Typer(
    name="data",
    help="Fetch, list and check image data.",
    no_args_is_help=True,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(help="Dataset; see: sane data list.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the image data.")]


@app.command()
def fetch(name: Name, data: Data = Path("data")) -> None:
    """Download NAME into the data folder; what is already there and right is kept."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from sane_core.images.fetch import fetch as fetch_files

    _known(name)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns) as progress:
        tasks: dict[str, object] = {}

        def show(path: str, done: int, total: int | None) -> None:
            if path not in tasks:
                tasks[path] = progress.add_task(path, total=total)
            progress.update(tasks[path], completed=done)

        paths = fetch_files(name, data, on_progress=show)
    for path in paths:
        typer.echo(path)


@app.command("list")
def list_datasets(data: Data = Path("data")) -> None:
    """List the known datasets and whether they lie in the data folder."""
    from rich.console import Console
    from rich.table import Table

    from sane_core.images.registry import DATASETS, find_layout

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    for column in ("images", "shape", "classes", "licence", "present"):
        table.add_column(column, overflow="fold")
    for name, entry in DATASETS.items():
        known = entry.known
        table.add_row(
            name,
            f"{known.train} + {known.test}" if known.test else str(known.train),
            f"{known.channels}x{known.side}x{known.side}",
            str(known.classes),
            known.licence,
            "yes" if find_layout(entry, data) else "no",
        )
    console.print(table)
    for name, entry in DATASETS.items():
        if entry.note:
            console.print(f"{name}: {entry.note}", markup=False, soft_wrap=True)
    console.print("Images of your own: npz:PATH, folder:PATH", markup=False)


@app.command()
def check(name: Name, data: Data = Path("data")) -> None:
    """Read NAME as a run would, and say what it is."""
    from sane_core.images.digest import source_digest
    from sane_core.images.fetch import is_published
    from sane_core.images.registry import load_dataset
    from sane_core.images.sources import OTHER_SOURCES, SOURCES

    _known(name)
    for source in (*SOURCES.get(name, ()), *OTHER_SOURCES.get(name, ())):
        path = data / source.path
        if path.is_file() and not is_published(path, source):
            raise UserError(
                f"{path} must have the published checksum and has not; "
                f"remove it, then run: sane data fetch {name}"
            )
    dataset = load_dataset(name, data)
    test = f"{len(dataset.test)} test images" if dataset.test else "no official test images"
    shape = "x".join(map(str, dataset.train.shape))
    typer.echo(f"{name}: {len(dataset.train)} images, {test}, {shape}, {dataset.classes} classes")
    typer.echo(f"licence: {dataset.licence}")
    typer.echo(f"sha256: {source_digest(name, data)}")


def _known(name: str) -> None:
    """Raise a user's error where there is no dataset of that name."""
    from sane_core.images.registry import entry_for

    try:
        entry_for(name)
    except ValueError as error:
        raise UserError(str(error)) from None
