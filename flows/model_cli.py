"""`sane model`: export, show and use trained SANEs. Heavy imports stand inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from flows.embed_cli import embed
from flows.loading import Device, explained, load_sane

app = typer.Typer(help="Export, show and use trained SANEs.", no_args_is_help=True)
app.command(hidden=True)(embed)
"""As it was called before `sane embed`."""


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there yet.")],
    source: Annotated[
        str,
        typer.Argument(
            help="A store, for the model of its newest report (or, without one, its newest), or "
            "the folder or URI of a model: STORE/model/KEY, or sharpened: STORE/sharpen/KEY."
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
    with explained("the model cannot be exported"):
        metrics = held_out(store, model, manifest)
        sane_of(store, model, name or out.name, licence, metrics).save(out)
    size = sum(path.stat().st_size for path in out.iterdir())
    typer.echo(f"Model:  {out}, {size / 1e6:.1f} MB, of {model.uri}")
    typer.echo(f"Use:    sane embed FILE... --model {out}")


@app.command()
def latents(
    model: Annotated[str, typer.Argument(help="Name of a SANE that ships, or a folder.")],
    files: Annotated[list[Path], typer.Argument(help="Networks that it was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there yet.")],
    zoo: Annotated[
        str | None, typer.Option(help="Which zoo they are of, if they fit several.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Write a SANE that knows the mean and deviation of its training latents, as GAUSS needs."""
    from schemas.errors import UserError

    if out.exists():
        raise UserError(f"{out} must not be there yet; choose another folder")
    sane = load_sane(model, device)
    with explained("latents cannot be measured"):
        sane.with_latents(files, zoo=zoo).save(out)
    typer.echo(f"Model:  {out}, latents of {len(files)} networks measured")


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

    described = load_sane(model, "cpu").description
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
    if described.sharpened:
        rows["decoder"] = f"sharpened, labels of train images {described.train_labels}"
    for zoo in described.zoos:
        weights = sum(layer.size for layer in zoo.layers)
        rows[f"zoo {zoo.name}"] = (
            f"{zoo.architecture}, {len(zoo.layers)} layers, {weights:,} weights, "
            f"{described.latents_per_weight(zoo):.2f} latents per weight, "
            f"reference: run {zoo.run}, epoch {zoo.epoch}"
        )
    rows |= {key: f"{value:.4g}" for key, value in sorted(described.metrics.items())}
    for key, value in rows.items():
        table.add_row(escape(key), escape(value))
    Console().print(table)
