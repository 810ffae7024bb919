"""Which SANE and which zoo's embeddings a search takes; they must be of one another."""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.model_lineage import Made, made_at, model_of, newest_of_zoo, sane_of
from schemas.config.embed import EmbedConfig
from schemas.errors import UserError
from schemas.records import Artifact, Manifest
from tasks.store import Store

if TYPE_CHECKING:
    from sane_core.analysis.search import Catalogue
    from sane_core.api.sane import Sane

FILE = "embeddings.parquet"


def opened(
    model: str, within: Path | None, zoo: str | None, device: str
) -> tuple["Sane", "Catalogue"]:
    """Return a SANE and a zoo's embeddings by it.

    Args:
        model: A store, a model in one, or a SANE of its own: its name or folder.
        within: The embeddings, if they are not those that the store knows.
        zoo: Name of the zoo, of several.
        device: Where the autoencoder runs.

    Raises:
        UserError: If there is no such model, no embeddings by it, or it is not said which.
        ValueError: If a bundle or a table cannot be used.
    """
    from sane_core.analysis.search import Catalogue
    from sane_core.api.bundle import packaged
    from sane_core.api.sane import Sane

    if model in packaged() or (Path(model) / "sane.json").is_file():
        if within is None:
            raise UserError(
                f"{model} is a SANE without a zoo: name the zoo's embeddings by it "
                "(--in FILE.parquet), or search a store (--model STORE)"
            )
        return Sane.load(model, device), Catalogue.read(_table(within))
    store, artifact, manifest = model_of(model, having="embeddings" if within is None else None)
    made = _chosen(store, artifact, manifest, within, zoo)
    if made is None:
        return sane_of(store, artifact, "searched", device=device), Catalogue.read(_table(within))
    place, embeddings, origin = made
    as_embedded = EmbedConfig.model_validate(origin.config["embed"]).embedding()
    sane = sane_of(store, artifact, "searched", device=device, embed=as_embedded)
    tokens = place.manifest(origin.inputs["tokens"])
    folder = place.open(tokens.inputs["zoo"]).folder
    return sane, Catalogue.read(place.open(embeddings).folder / FILE, folder)


def _chosen(
    store: Store, model: Artifact, manifest: Manifest, within: Path | None, zoo: str | None
) -> Made | None:
    """Return the embeddings that are meant, with their store; None for a mere file."""
    if within is None:
        return newest_of_zoo(store, "embeddings", model, manifest, zoo)
    made = made_at(within, "embeddings")
    if made and made[2].inputs["model"].digest != model.digest:
        raise UserError(
            f"the embeddings in {within} must be by the model that is searched with, "
            f"{model.digest[:12]}, got {made[2].inputs['model'].digest[:12]}; leave --in out, "
            "or name their model (--model)"
        )
    return made


def _table(within: Path | None) -> Path:
    """Return the file of a table that is given as itself or as its folder."""
    path = within or Path(FILE)
    return path / FILE if path.is_dir() else path
