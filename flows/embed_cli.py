"""`sane embed`: checkpoint files to embeddings, or to the latents of their tokens."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.loading import Device, explained, load_sane
from flows.writing import write_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from sane_core.api.results import Embedding, NetworkLatents, Read


class Level(StrEnum):
    """What a row is of."""

    MODEL = "model"
    TOKEN = "token"


def embed(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints: PyTorch files, safetensors.")],
    model: Annotated[
        str, typer.Option(help="Name of a SANE that ships, or a folder.")
    ] = "mnist-cnn",
    out: Annotated[
        Path | None, typer.Option(help="Parquet file to write; a table here if not given.")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Of tokens: layers (the default), mean (the paper's), mean_std, quantiles, full."
        ),
    ] = None,
    level: Annotated[
        Level, typer.Option(help="A row per network, or one per token with its latents.")
    ] = Level.MODEL,
    architecture: Annotated[
        str | None, typer.Option(help="Registered name or package.module:factory; else by shapes.")
    ] = None,
    zoo: Annotated[
        str | None, typer.Option(help="Whose statistics they take, if they fit several zoos.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Embed checkpoint files."""
    from schemas.errors import UserError

    if level == Level.TOKEN and pooling is not None:
        raise UserError(f"--level token pools nothing, got --pooling {pooling}; leave one of them")
    sane = load_sane(model, device)
    with explained("the files cannot be embedded"):
        if level == Level.TOKEN:
            latents = sane.latents(files, architecture=architecture, zoo=zoo)
        else:
            found = sane.embed(files, pooling=pooling, architecture=architecture, zoo=zoo)
    if level == Level.TOKEN:
        _show_latents(latents, out)
    else:
        _show_embedding(found, out)


def _show_embedding(found: "Embedding", out: Path | None) -> None:
    if out is None:
        _print(found.networks, "embedding", [(vector, "") for vector in found.vectors])
        return
    import pyarrow as pa

    columns = {
        "file": [read.label for read in found.networks],
        "architecture": [read.architecture for read in found.networks],
        "zoo": pa.array([read.zoo for read in found.networks], pa.string()),
        "aligned": [read.aligned for read in found.networks],
        "embedding": _lists(found.vectors),
    }
    write_table(out, columns)
    typer.echo(f"Embeddings: {out}, {len(found.vectors)} of {found.vectors.shape[1]} numbers")


def _show_latents(found: "Sequence[NetworkLatents]", out: Path | None) -> None:
    if out is None:
        shown = [(each.values[0], f" of each of {len(each.values)} tokens") for each in found]
        _print([each.network for each in found], "latents of the first token", shown)
        return
    import numpy as np

    positions = np.concatenate([each.positions for each in found]).astype(np.int32)
    names = [each.network.label for each in found]
    columns = {"file": np.repeat(names, [len(each.values) for each in found])}
    columns |= {axis: positions[:, i] for i, axis in enumerate("nlk")}
    values = np.concatenate([each.values for each in found])
    write_table(out, columns | {"latents": _lists(values)})
    typer.echo(f"Latents: {out}, {len(values)} tokens of {values.shape[1]} numbers")


def _print(
    networks: "Sequence[Read]", what: str, values: "Sequence[tuple[Sequence[float], str]]"
) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "architecture", "zoo", "aligned", what)
    for read, (vector, more) in zip(networks, values, strict=True):
        begin = ", ".join(f"{value:.3f}" for value in vector[:4])
        numbers = f"{begin}, … ({len(vector)}{more})"
        texts = (read.label, read.architecture, read.zoo or "none", numbers)
        label, of, zoo, shown = map(escape, texts)
        table.add_row(label, of, zoo, "yes" if read.aligned else escape(read.note), shown)
    Console().print(table)


def _lists(values: "np.ndarray") -> "pa.Array":
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(
        pa.array(values.ravel(), pa.float32()), values.shape[1]
    )
