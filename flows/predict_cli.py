"""`sane predict`: what the probes of a zoo read from checkpoint files, the gate's verdict first."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.loading import Device, explained
from flows.writing import write_table

if TYPE_CHECKING:
    from sane_core.api.properties import Properties
    from sane_core.probing.predictor import Prediction, Reading

SHARES = ("test_accuracy", "train_accuracy", "generalization_gap")
"""Properties that are shown in percent."""


def predict(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints: PyTorch files, safetensors.")],
    model: Annotated[
        str,
        typer.Option(
            help="A store, for the SANE of its newest report and its probes; a model in one "
            "(STORE/model/KEY); or a SANE of its own: its name or folder, with --probes."
        ),
    ] = "store",
    probes: Annotated[
        Path | None,
        typer.Option(help="Probes by this SANE: predictor.safetensors, or STORE/probes/KEY."),
    ] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Whose probes, if the SANE was trained on several zoos.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file to write as well.")] = None,
    device: Device = "cpu",
) -> None:
    """Predict accuracy, epoch and the other properties that were probed of FILES.

    Of a network unlike the zoo nothing is predicted.
    """
    from flows.predictors import opened
    from sane_core.api.properties import read_properties

    with explained("nothing can be predicted"):
        sane, predictor = opened(model, probes, zoo, device)
        found = read_properties(sane, predictor, files, zoo)
    _print(files, found, predictor.readings)
    if out is not None:
        write_table(out, _columns(files, found))
        typer.echo(f"Predictions: {out}")


def _print(files: list[Path], found: "Properties", readings: "dict[str, Reading]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "like the zoo?", *map(escape, found.values))
    for i, file in enumerate(files):
        cells = [_number(name, read, i) for name, read in found.values.items()]
        table.add_row(escape(str(file)), _verdict(found, i), *cells)
    console = Console()
    console.print(table)
    for said in _explained(found, readings):
        console.print(escape(said), soft_wrap=True)


def _verdict(found: "Properties", i: int) -> str:
    """Return the gate's word; 1 is as far as networks of the zoo are."""
    far = found.distance[i]
    of = "other layers" if far == float("inf") else f"{far:.2f}"
    return f"no ({of})" if found.foreign[i] else f"yes ({of})"


def _number(name: str, read: "Prediction", i: int) -> str:
    value, low, high = (float(each[i]) for each in (read.values, read.low, read.high))
    if value != value:
        return "–"
    shown = [f"{each:.1%}" if name in SHARES else f"{each:.2f}" for each in (value, low, high)]
    return shown[0] if high == float("inf") else rf"{shown[0]} \[{shown[1]}, {shown[2]}]"


def _explained(found: "Properties", readings: "dict[str, Reading]") -> list[str]:
    said = []
    held = {r.asked for r in readings.values() if r.half_width < float("inf")}
    if held:
        said.append(
            f"Intervals hold the truth of {min(held):.0%} of checkpoints of new runs of this zoo's "
            "kind (split conformal, by run)."
        )
    if unknown := [name for name, r in readings.items() if r.half_width == float("inf")]:
        said.append(f"No interval for {', '.join(unknown)}: too few validation runs.")
    if found.foreign.any():
        said.append(
            "Unlike this zoo: farther from its networks than 1, or of other layers; nothing is "
            "predicted of these."
        )
    return said


def _columns(files: list[Path], found: "Properties") -> dict[str, object]:
    columns: dict[str, object] = {
        "file": [str(file) for file in files],
        "foreign": found.foreign,
        "distance": found.distance,
    }
    for name, read in found.values.items():
        columns |= {name: read.values, f"{name}.low": read.low, f"{name}.high": read.high}
    return columns
