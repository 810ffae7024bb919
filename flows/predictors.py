"""Which SANE and which probes a prediction takes; they must be of one another."""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.model_lineage import Made, made_at, model_of, newest_of_zoo, sane_of
from schemas.config.embed import EmbedConfig
from schemas.errors import UserError

if TYPE_CHECKING:
    from sane_core.api.sane import Sane
    from sane_core.probing.predictor import Predictor

FILE = "predictor.safetensors"


def opened(
    model: str, probes: Path | None, zoo: str | None, device: str
) -> tuple["Sane", "Predictor"]:
    """Return a SANE and the probes of a zoo that were fitted on it.

    Args:
        model: A store, a model in one, or a SANE of its own: its name or folder.
        probes: The probes, if they are not those that the store knows.
        zoo: Name of the zoo, of several.
        device: Where the autoencoder runs.

    Raises:
        UserError: If there is no such model, no probes by it, or it is not said which.
        ValueError: If a bundle or a predictor cannot be used.
    """
    from sane_core.api.bundle import packaged
    from sane_core.api.sane import Sane
    from sane_core.probing.predictor import read_predictor

    if model in packaged() or (Path(model) / "sane.json").is_file():
        if probes is None:
            raise UserError(
                f"{model} is a SANE without probes: name those that were fitted on it (--probes "
                "FILE.safetensors), or take a store (--model STORE)"
            )
        return Sane.load(model, device), read_predictor(_file(probes))
    store, artifact, manifest = model_of(model, having="probes")
    made: Made | None
    if probes is None:
        made = newest_of_zoo(store, "probes", artifact, manifest, zoo)
    elif (made := made_at(probes, "probes")) and made[2].inputs["model"].digest != artifact.digest:
        raise UserError(
            f"the probes in {probes} must be of the model that is predicted with, "
            f"{artifact.digest[:12]}, got {made[2].inputs['model'].digest[:12]}; leave --probes "
            "out, or name their model (--model)"
        )
    if made is None:
        return sane_of(store, artifact, "probed", device=device), read_predictor(_file(probes))
    place, found, origin = made
    embed = EmbedConfig.model_validate(origin.config["embed"]).embedding()
    sane = sane_of(store, artifact, "probed", device=device, embed=embed)
    return sane, read_predictor(place.open(found).folder / FILE)


def _file(probes: Path | None) -> Path:
    """Return the file of probes that are given as themselves or as their folder."""
    path = probes or Path(FILE)
    return path / FILE if path.is_dir() else path
