"""A trained SANE as a folder: `sane.json`, `model.safetensors`, `reference-<i>.safetensors`.

`read(write(bundle)) == bundle`, bit for bit. Nothing is unpickled; every file's SHA-256 stands in
`sane.json`, which is written last. References are the models that others are aligned to, one per
zoo. A `README.md` says the same to people and is not read.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from safetensors.numpy import save_file

from sane_core.api.card import model_card
from sane_core.api.description import FORMAT, Description, first_error
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.zoo.formats.plain_json import read_json
from sane_core.zoo.formats.refused import Refused, printable
from sane_core.zoo.formats.tensors import read_tensors
from schemas.records import FileEntry

DESCRIPTION = "sane.json"
MODEL = "model.safetensors"
BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
"""Where the bundles lie that ship with the package, a folder each."""

Reference = Mapping[str, np.ndarray]
"""Trained entry -> float32 array of the model that others are aligned to."""


@dataclass(frozen=True)
class Bundle:
    """A trained SANE in memory.

    Attributes:
        description: Everything but the numbers.
        model: The autoencoder, ready for inference.
        references: Of every zoo, in the order of the description.
    """

    description: Description
    model: Autoencoder
    references: tuple[Reference, ...]


def packaged() -> list[str]:
    """Return the names of the bundles that ship with the package."""
    return sorted(path.parent.name for path in BUNDLES.glob(f"*/{DESCRIPTION}"))


def bundle_folder(name_or_folder: str | Path) -> Path:
    """Return where a bundle lies; a packaged name goes before a folder of that name.

    Raises:
        ValueError: If there is none, naming those that ship with the package.
    """
    names = packaged()
    if isinstance(name_or_folder, str) and name_or_folder in names:
        return BUNDLES / name_or_folder
    folder = Path(name_or_folder)
    if (folder / DESCRIPTION).is_file():
        return folder
    known = f"one of {', '.join(names)}, or a folder" if names else "a folder (none ships here)"
    advice = ""
    if (folder / "config.json").is_file() and (folder / MODEL).is_file():
        advice = (
            ", a model without the zoo that it was trained on: make a SANE of both by "
            f"`sane model export {folder} --out FOLDER`, or by Sane.from_artifacts"
        )
    raise ValueError(
        f"a SANE must be {known} with {DESCRIPTION} in it, got {str(name_or_folder)!r}{advice}"
    )


def write(folder: Path, bundle: Bundle) -> Description:
    """Write a bundle.

    Args:
        folder: Folder to write; it must be empty, or not be there yet.
        bundle: What to write.

    Returns:
        The description, with the digests of the files written.

    Raises:
        ValueError: If the folder holds anything.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} must be an empty folder, or not be there; choose another one")
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, entries in parts_of(bundle).items():
        save_file(entries, folder / name)
        data = (folder / name).read_bytes()
        files[name] = FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    described = bundle.description.model_copy(update={"files": files})
    (folder / "README.md").write_text(model_card(described, f'Sane.load("{folder.name}")'))
    (folder / DESCRIPTION).write_text(described.model_dump_json(indent=1) + "\n")
    return described


def parts_of(bundle: Bundle) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of every file of a bundle, by its name."""
    arrays = {name: value.cpu().numpy() for name, value in bundle.model.state_dict().items()}
    parts = zip(_names(bundle.description), (arrays, *bundle.references), strict=True)
    return {
        name: {entry: np.ascontiguousarray(values) for entry, values in entries.items()}
        for name, entries in parts
    }


def read(folder: Path) -> Bundle:
    """Read a bundle and verify every file of it.

    Raises:
        ValueError: If it is not there, not a bundle, of another format, or damaged.
    """
    description = _description(folder / DESCRIPTION)
    arrays, *references = (_arrays(folder, description, name) for name in _names(description))
    for zoo, reference in zip(description.zoos, references, strict=True):
        for name, values in reference.items():
            if values.shape != zoo.parameters.get(name) or values.dtype != np.float32:
                raise ValueError(
                    f"{folder}: the reference of zoo {zoo.name} must fit its architecture, got "
                    f"{name} {list(values.shape)}; fetch the bundle again"
                )
    return Bundle(description, _model(folder, description, arrays), tuple(references))


def _names(description: Description) -> list[str]:
    """Return the files of a bundle; their names come from here, never from a description."""
    return [MODEL, *(f"reference-{i}.safetensors" for i in range(len(description.zoos)))]


def _description(path: Path) -> Description:
    try:
        found = read_json(path)
    except Refused as refused:
        raise ValueError(f"{path} must be the description of a bundle: {refused}") from refused
    except OSError as error:
        raise ValueError(f"{path} must be readable, got: {error.strerror or error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        got = found.get("format") if isinstance(found, dict) else None
        raise ValueError(
            f"{path} must describe a bundle of format {FORMAT}, got format "
            f"{printable(repr(got), 40)}; use the version of sane that wrote it"
        )
    try:
        return Description.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise ValueError(
            f"{path} is damaged or of another program: {first_error(error)}; fetch the bundle again"
        ) from None


def _arrays(folder: Path, description: Description, name: str) -> dict[str, np.ndarray]:
    """Read one file; the digest is that of the very bytes that were read."""
    told = description.files.get(name)
    try:
        contents = read_tensors(folder / name)
    except Refused as refused:
        raise ValueError(f"{folder / name} is damaged: {refused}") from refused
    except OSError as error:
        raise ValueError(
            f"{folder / name} must be readable, got: {error.strerror or error}"
        ) from error
    if told is None or contents.sha256 != told.sha256:
        raise ValueError(
            f"{folder / name} is damaged or of another bundle: its SHA-256 must be "
            f"{told.sha256 if told else f'in {DESCRIPTION}'}, got {contents.sha256}; fetch the "
            "bundle again"
        )
    return contents.tensors


def _model(folder: Path, described: Description, arrays: Mapping[str, np.ndarray]) -> Autoencoder:
    """Build the autoencoder; on PyTorch's meta device first, where a claim costs no memory."""
    if 2 * described.autoencoder.layers > len(arrays):
        raise ValueError(
            f"{folder / MODEL} must fit the autoencoder in {DESCRIPTION}: "
            f"{described.autoencoder.layers} + {described.autoencoder.layers} blocks have more "
            f"entries than {len(arrays)}; fetch the bundle again"
        )
    with torch.device("meta"):
        outline = Autoencoder(described.shape, described.autoencoder).state_dict()
    wanted = {name: tuple(value.shape) for name, value in outline.items()}
    got = {name: values.shape for name, values in arrays.items()}
    if wanted != got:
        name = min(key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key))
        raise ValueError(
            f"{folder / MODEL} must fit the autoencoder in {DESCRIPTION}: {printable(name)} must "
            f"have shape {wanted.get(name)}, got {got.get(name)}; fetch the bundle again"
        )
    model = Autoencoder(described.shape, described.autoencoder)
    model.load_state_dict({name: torch.tensor(values) for name, values in arrays.items()})
    return model.eval()
