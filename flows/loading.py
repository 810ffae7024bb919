"""What the commands that use a trained SANE share. Heavy imports stand inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sane_core.api.sane import Sane

Device = Annotated[str, typer.Option(help="Where the autoencoder runs: cpu, cuda, cuda:1.")]


def load_sane(model: str, device: str) -> "Sane":
    """Load a SANE that ships, one from a folder, or a model as a stage left it in a store."""
    from sane_core.api.sane import Sane

    with explained("the SANE cannot be loaded"):
        if (Path(model) / "manifest.json").is_file():
            return _of_stage(model, device)
        return Sane.load(model, device)


def _of_stage(folder: str, device: str) -> "Sane":
    """Put together what `STORE/model/KEY` or `STORE/sharpen/KEY` was made of."""
    from flows.model_lineage import model_of, sane_of

    store, model, manifest = model_of(folder)
    return sane_of(store, model, f"{model.kind}-{manifest.key[:12]}", device=device)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Make the core's sentence the user's answer."""
    from schemas.errors import UserError

    try:
        yield
    except ValueError as error:
        raise UserError(f"{what}: {error}") from error
