"""`sane zoo`: train, ingest, list and show zoos. Heavy imports stand inside the commands."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Train, ingest, list and show zoos of networks.", no_args_is_help=True)

Store = Annotated[str, typer.Option(help="Folder or URI of the artifact store.")]
Seed = Annotated[int, typer.Option(min=0, help="The one seed of every draw.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another key of the zoo. Repeatable."),
]


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as mnist-cnn.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the zoo; the recipe's by default.")
    ] = None,
    members: Annotated[int | None, typer.Option(help="Networks to train.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs to train them.")] = None,
    changes: Changes = None,
    data: Annotated[str, typer.Option(help="Folder of the image datasets' files.")] = "data",
    store: Store = "store",
    seed: Seed = 0,
) -> None:
    """Train a population of networks by a recipe."""
    given = {"name": name, "members": members, "epochs": epochs}
    zoo: dict[str, Any] = {"recipe": recipe}
    zoo |= {key: value for key, value in given.items() if value is not None}
    _make(zoo, changes, name or recipe, store=store, seed=seed, data=data)


@app.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="Folder, file, glob, hf:owner/name or mlflow:EXPERIMENT.")
    ],
    name: Annotated[str, typer.Option(help="Name of the zoo.")],
    reader: Annotated[str, typer.Option(help="Layout of the source; auto: recognise it.")] = "auto",
    architecture: Annotated[
        str | None, typer.Option(help="Registered name or package.module:factory; else by shapes.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="File names, as resnet_{run}_epoch{epoch}.pt.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="CSV or Parquet with properties, beside the files.")
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Accepted; others are quarantined. Repeatable."),
    ] = None,
    changes: Changes = None,
    tracking: Annotated[
        str | None, typer.Option(help="MLflow tracking URI, where experiments lie.")
    ] = None,
    store: Store = "store",
    seed: Seed = 0,
) -> None:
    """Ingest networks that were trained elsewhere."""
    zoo: dict[str, Any] = {"name": name, "source": source, "reader": reader}
    given = {"architecture": architecture, "pattern": pattern, "table": table}
    zoo |= {key: value for key, value in given.items() if value is not None}
    zoo["licences"] = licence or []
    extra = {"tracking": {"uri": tracking}} if tracking else {}
    _make(zoo, changes, name, store=store, seed=seed, **extra)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the zoo.")],
    store: Store = "store",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page; runs/zoo-NAME/NAME if not given.")
    ] = None,
) -> None:
    """Show what is in a zoo: a table here, and a page with figures."""
    from rich.console import Console
    from rich.table import Table

    from sane_core.reporting.zoo_report.draw import draw_zoo_report
    from sane_core.reporting.zoo_report.summary import summary
    from tasks.store import Store as ArtifactStore
    from tasks.zoos import dataset_of, zoo_named

    artifacts = ArtifactStore(store)
    found = zoo_named(artifacts, name)
    folder = artifacts.open(found.artifact).folder
    table = Table("", "", title=name, show_header=False)
    for row in summary(folder):
        table.add_row(*row)
    console = Console()
    console.print(table)
    place = out or Path("runs") / f"zoo-{name}" / name
    dataset = dataset_of(artifacts, found.images) if found.images else None
    page = draw_zoo_report(folder, place, dataset)
    console.print(f"Page:  {page}", soft_wrap=True)
    console.print(f"Store: {found.artifact.uri}", soft_wrap=True)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Name of the zoo.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there yet.")],
    runs: Annotated[int | None, typer.Option(min=1, help="Runs to keep, the first ones.")] = None,
    epochs: Annotated[
        str | None, typer.Option(help="Epochs to keep, as 0,1,5; all of them if not given.")
    ] = None,
    store: Store = "store",
) -> None:
    """Write a small copy of a zoo, weights in half precision; `sane zoo ingest` reads it."""
    from sane_core.zoo.compact import compact_zoo
    from schemas.errors import UserError
    from tasks.store import Store as ArtifactStore
    from tasks.zoos import runs_and_epochs, zoo_named

    if out.exists():
        raise UserError(f"{out} must not be there yet; choose another folder")
    artifacts = ArtifactStore(store)
    folder = artifacts.open(zoo_named(artifacts, name).artifact).folder
    all_runs, all_epochs = runs_and_epochs(folder)
    try:
        kept = [int(epoch) for epoch in epochs.split(",")] if epochs else all_epochs
        size = compact_zoo(folder, out, all_runs[:runs], kept)
    except ValueError as error:
        raise UserError(f"zoo {name} cannot be exported: {error}") from error
    typer.echo(f"Copy:  {out}, {size / 1e6:.1f} MB")


@app.command()
def unpack(
    source: Annotated[str, typer.Argument(help="Name of a zoo, or sample:NAME, which ships.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there yet.")],
    runs: Annotated[int | None, typer.Option(min=1, help="Runs to take, the first ones.")] = None,
    epochs: Annotated[
        str | None, typer.Option(help="Epochs to take, as 0,1,5; the last one if not given.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Runs of one split: train, validation or test.")
    ] = None,
    store: Store = "store",
) -> None:
    """Write a zoo's networks as safetensors files, such as prompts for `sane sample`."""
    from sane_core.samples import sample_zoo
    from sane_core.zoo.unpack import unpack_zoo
    from schemas.errors import UserError
    from tasks.store import Store as ArtifactStore
    from tasks.zoos import zoo_named

    if out.exists():
        raise UserError(f"{out} must not be there yet; choose another folder")
    try:
        if source.startswith("sample:"):
            folder = sample_zoo(source.removeprefix("sample:"))
        else:
            artifacts = ArtifactStore(store)
            folder = artifacts.open(zoo_named(artifacts, source).artifact).folder
        kept = [int(epoch) for epoch in epochs.split(",")] if epochs else []
        paths = unpack_zoo(folder, out, runs, kept, split)
    except ValueError as error:
        raise UserError(f"zoo {source} cannot be unpacked: {error}") from error
    typer.echo(f"Networks: {len(paths)}, {out}/*.safetensors")


@app.command("list")
def list_zoos(store: Store = "store") -> None:
    """List the zoos of a store and the recipes that can be trained."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from schemas.config.recipes import RECIPES
    from tasks.store import Store as ArtifactStore
    from tasks.zoo import epochs_of
    from tasks.zoos import registered_zoos

    console = Console()
    table = Table("zoo", "made by", "epochs", "test accuracy", "digest", title=f"Zoos in {store}")
    for name, zoo in registered_zoos(ArtifactStore(store)).items():
        accuracy = zoo.manifest.metrics.get("zoo.test_accuracy")
        epochs = epochs_of(zoo.manifest)
        table.add_row(
            name,
            "training" if zoo.training else zoo.manifest.facts.get("zoo.reader", "ingestion"),
            "–".join(map(str, dict.fromkeys((epochs[0], epochs[-1])))),
            "unknown" if accuracy is None else f"{accuracy:.3f}",
            zoo.artifact.digest[:12],
        )
    console.print(table)
    recipes = Table("recipe", "images", "architecture", "members", "epochs", title="Recipes")
    for recipe in RECIPES.values():
        recipes.add_row(
            recipe.name,
            recipe.images.dataset,
            escape(recipe.architecture),
            str(recipe.members),
            str(recipe.epochs),
        )
    console.print(recipes)


def _make(zoo: dict[str, Any], changes: list[str] | None, name: str, **benchmark: Any) -> None:
    """Run the flow `zoos` on one zoo and say where its page is."""
    from flows.configuration import configure

    overrides = [f"zoos.0.{change}" for change in changes or ()]
    values = {"name": f"zoo-{name}", "zoos": [zoo], "experiments": [], **benchmark}
    config = configure(values, overrides, place="the command")

    from flows.run import run_zoos

    for page in run_zoos(config):
        typer.echo(f"Page:  {page}")
    typer.echo(f"Show:  sane zoo show {name}")
