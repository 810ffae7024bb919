"""`sane model`: export, show and use trained SANEs. Heavy imports stand inside the commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sane_core.api.results import Embedding
    from sane_core.api.sane import Sane

app = typer.Typer(help="Export, show and use trained SANEs.", no_args_is_help=True)

Device = Annotated[str, typer.Option(help="Where the autoencoder runs: cpu, cuda, cuda:1.")]


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there yet.")],
    source: Annotated[
        str,
        typer.Argument(
            help="A store, for the model of its newest report (or, without one, its newest), or "
            "the folder or URI of a model: STORE/model/KEY."
        ),
    ] = "store",
    name: Annotated[
        str | None, typer.Option(help="What it is called; the folder's name if not given.")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="SPDX identifier of the weights' licence.")
    ] = "apache-2.0",
) -> None:
    """Write a trained SANE as a folder of its own, which `Sane.load` reads anywhere."""
    from flows.model_lineage import held_out, model_of, sane_of
    from schemas.errors import UserError

    if out.exists():
        raise UserError(f"{out} must not be there yet; choose another folder")
    store, model, manifest = model_of(source)
    with _explained("the model cannot be exported"):
        metrics = held_out(store, model, manifest)
        sane_of(store, model, name or out.name, licence, metrics).save(out)
    size = sum(path.stat().st_size for path in out.iterdir())
    typer.echo(f"Model:  {out}, {size / 1e6:.1f} MB, of {model.uri}")
    typer.echo(f"Use:    sane model embed FILE... --model {out}")


@app.command()
def presets() -> None:
    """Show the sizes of SANE that `preset: NAME` stands for, beside the paper's (Table 8)."""
    from rich.console import Console
    from rich.table import Table

    from sane_core.reporting.table8 import table8

    made = table8()
    table = Table(*made.columns, title=made.title)
    for row in made.rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    for note in made.notes:
        console.print(note, style="dim")


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Name of a SANE that ships, or a folder.")],
) -> None:
    """Show what a SANE is: zoos, layers, token size, licence, metrics."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    described = _load(model, "cpu").description
    config = described.autoencoder
    table = Table("", "", title=described.name, show_header=False)
    rows = {
        "licence": described.licence,
        "token size": str(described.shape.d_t),
        "window": f"{described.shape.window} tokens",
        "autoencoder": f"width {config.d_model}, {config.layers} + {config.layers} blocks, "
        f"{config.heads} heads, {config.d_z} latent dimensions",
        "positions": f"{config.positions}, {described.shape.positions}, unseen: {config.unseen}",
    }
    for zoo in described.zoos:
        weights = sum(layer.size for layer in zoo.layers)
        rows[f"zoo {zoo.name}"] = (
            f"{zoo.architecture}, {len(zoo.layers)} layers, {weights:,} weights, "
            f"reference: run {zoo.run}, epoch {zoo.epoch}"
        )
    rows |= {key: f"{value:.4g}" for key, value in sorted(described.metrics.items())}
    for key, value in rows.items():
        table.add_row(escape(key), escape(value))
    Console().print(table)


@app.command()
def embed(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints: PyTorch files, safetensors.")],
    model: Annotated[
        str, typer.Option(help="Name of a SANE that ships, or a folder.")
    ] = "mnist-cnn",
    out: Annotated[
        Path | None, typer.Option(help="Parquet file to write; a table here if not given.")
    ] = None,
    pooling: Annotated[
        str | None, typer.Option(help="Of tokens: layers (the default) or mean.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help="Registered name or package.module:factory; else by shapes.")
    ] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Whose statistics they take, if they fit several zoos.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Embed checkpoint files."""
    sane = _load(model, device)
    with _explained("the files cannot be embedded"):
        found = sane.embed(files, pooling=pooling, architecture=architecture, zoo=zoo)
    if out is None:
        _print(found)
    else:
        _write(out, found)
        typer.echo(f"Embeddings: {out}, {len(found.vectors)} of {found.vectors.shape[1]} numbers")


def _print(found: "Embedding") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "architecture", "zoo", "aligned", "embedding")
    for read, vector in zip(found.networks, found.vectors, strict=True):
        begin = ", ".join(f"{value:.3f}" for value in vector[:4])
        texts = (read.label, read.architecture, read.zoo or "none", f"{begin}, … ({len(vector)})")
        label, of, zoo, numbers = map(escape, texts)
        table.add_row(label, of, zoo, "yes" if read.aligned else escape(read.note), numbers)
    Console().print(table)


def _write(out: Path, found: "Embedding") -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.errors import UserError

    values = pa.array(found.vectors.ravel(), pa.float32())
    columns = {
        "file": [read.label for read in found.networks],
        "architecture": [read.architecture for read in found.networks],
        "zoo": pa.array([read.zoo for read in found.networks], pa.string()),
        "aligned": [read.aligned for read in found.networks],
        "embedding": pa.FixedSizeListArray.from_arrays(values, found.vectors.shape[1]),
    }
    try:
        pq.write_table(pa.table(columns), out, compression="zstd")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error


def _load(model: str, device: str) -> "Sane":
    from sane_core.api.sane import Sane

    with _explained("the SANE cannot be loaded"):
        return Sane.load(model, device)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Make the core's sentence the user's answer."""
    from schemas.errors import UserError

    try:
        yield
    except ValueError as error:
        raise UserError(f"{what}: {error}") from error
