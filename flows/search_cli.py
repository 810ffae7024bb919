"""`sane search`: the networks of a zoo that are most like a given one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.loading import Device, explained

if TYPE_CHECKING:
    from sane_core.analysis.search import Match, Matches


def search(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints: PyTorch files, safetensors.")],
    model: Annotated[
        str,
        typer.Option(
            help="A store, for the SANE of its newest report and its zoo's embeddings; a model in "
            "one (STORE/model/KEY); or a SANE of its own: its name or folder, with --in."
        ),
    ] = "store",
    within: Annotated[
        Path | None,
        typer.Option(
            "--in",
            help="The zoo's embeddings by this SANE: a Parquet file, or STORE/embeddings/KEY.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many networks to show.")] = 5,
    per_run: Annotated[
        bool, typer.Option("--per-run", help="Show the nearest network of each run only.")
    ] = False,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Of tokens: layers (the default), mean (the paper's), mean_std, quantiles, full; "
            "one that the zoo was embedded by."
        ),
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help="Registered name or package.module:factory; else by shapes.")
    ] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Which zoo is meant, if the SANE was trained on several.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Find the networks of a zoo that are most like FILES."""
    from flows.catalogues import opened

    with explained("nothing can be searched"):
        sane, catalogue = opened(model, within, zoo, device)
        found = sane.nearest(
            files,
            catalogue,
            k=k,
            pooling=pooling,
            per_run=per_run,
            architecture=architecture,
            like=zoo,
        )
    for file, matches in zip(files, found, strict=True):
        _print(file, matches)


def _print(file: Path, found: "Matches") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("", "run", "epoch", "split", "test accuracy", "distance", title=escape(str(file)))
    for n, match in enumerate(found.matches, start=1):
        table.add_row(str(n), *map(escape, _cells(match)))
    console.print(table)
    console.print(escape(_verdict(found)), soft_wrap=True)


def _cells(match: "Match") -> Sequence[str]:
    from sane_core.zoo.formats.refused import printable

    accuracy = "unknown" if match.accuracy is None else f"{match.accuracy:.2%}"
    return (
        printable(match.label, 60),
        str(match.epoch),
        match.split or "unknown",
        accuracy,
        f"{match.distance:.3f}",
    )


def _verdict(found: "Matches") -> str:
    """Return whether the network is one of this zoo's kind."""
    if found.usual != found.usual:
        return "The zoo has one run, so it is not known what is near."
    usual = f"99 of 100 networks of the zoo have one of another run within {found.usual:.3f}"
    if found.unlike:
        return (
            f"Unlike this zoo: {usual}, and the nearest one here is {found.times_as_far:.1f} times "
            "as far; what is nearest to a stranger says little."
        )
    return f"{usual}."
