"""What the commands that use a trained SANE share. Heavy imports stand inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sane_core.api.sane import Sane

Device = Annotated[str, typer.Option(help="Where the autoencoder runs: cpu, cuda, cuda:1.")]


def load_sane(model: str, device: str) -> "Sane":
    """Load a SANE that ships, or one from a folder."""
    from sane_core.api.sane import Sane

    with explained("the SANE cannot be loaded"):
        return Sane.load(model, device)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Make the core's sentence the user's answer."""
    from schemas.errors import UserError

    try:
        yield
    except ValueError as error:
        raise UserError(f"{what}: {error}") from error
