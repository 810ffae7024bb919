"""Where samples come from, so that they can be drawn again: written beside and into their files."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import numpy as np
from pydantic import Field
from safetensors.numpy import save

from sane_core.api.bundle import Bundle, parts_of
from sane_core.api.description import TrainLabels
from sane_core.api.given import Given
from sane_core.api.task import Task
from sane_core.generation.batch_norm import Conditioning
from schemas.config.sample import SampleConfig
from schemas.config.sharpen import Target
from schemas.records import Record


class PromptRecord(Record):
    """One prompt."""

    name: str = Field(description="file, or place in the list")
    sha256: str = Field(description="of the file, or of the entries of what was in memory")


class DataRecord(Record):
    """Images that samples were conditioned and selected on."""

    name: str
    train: int = Field(
        description="images that running statistics are measured on and latents refined on, at most"
    )
    flip: bool = Field(description="whether half of these were mirrored, as networks were trained")
    crop: int = Field(description="zeros around these before they were cropped, in pixels")
    validation: int = Field(description="images that samples are selected on")
    sha256: str = Field(description="of the validation images and labels, as networks see them")


class Provenance(Record):
    """How samples were drawn."""

    sane: str = Field(description="name of the SANE")
    sane_sha256: str = Field(description="of its description and its weights")
    architecture: str
    zoo: str | None = Field(description="whose statistics and reference were taken; null: prompts'")
    aligned: bool = Field(description="whether prompts were brought into the reference's order")
    prompts: tuple[PromptRecord, ...]
    sharpened: Target | None = Field(description="what the decoder was sharpened on, if it was")
    train_labels: TrainLabels = Field(
        description="whether labels of train images were used, by the decoder's sharpening or in "
        "refinement; selection reads those of validation images"
    )
    drawing: SampleConfig
    bandwidth: float = Field(description="that was drawn with, where a rule chose it too")
    latent_scale: Literal["training", "prompts"] = Field(description="what bandwidths count in")
    running_statistics: Literal["none", "data", "prompt"] = Field(
        description="where those of batch norms come from; none: there are none"
    )
    data: DataRecord | None = Field(description="null: nothing was selected")
    versions: dict[str, str]


def digest_of(bundle: Bundle) -> str:
    """Return the SHA-256, in hex, of a SANE: equal for one in memory and the folder it is read of.

    Metrics and the digests of files, which follow from the rest, are left out; so are defaults,
    which later versions may add.
    """
    description = bundle.description
    shown = description.model_dump_json(exclude={"files", "metrics"}, exclude_defaults=True)
    digest = hashlib.sha256(shown.encode())
    for name, arrays in parts_of(bundle).items():
        told = description.files.get(name)
        own = told.sha256 if told else hashlib.sha256(save(arrays)).hexdigest()
        digest.update(f"{name}\0{own}\n".encode())
    return digest.hexdigest()


def prompt_records(given: Sequence[Given]) -> tuple[PromptRecord, ...]:
    """Return the records of all prompts."""
    return tuple(
        PromptRecord(name=each.label, sha256=each.sha256 or _of_entries(each.entries))
        for each in given
    )


def data_record(
    task: Task | None, conditioning: Conditioning | None, refined: bool
) -> DataRecord | None:
    """Return the record of the images.

    Args:
        task: The images, if there are any.
        conditioning: What running statistics were measured on, if they were.
        refined: Whether latents were refined.
    """
    if task is None:
        return None
    return DataRecord(
        name=task.name,
        train=len(task.train) if conditioning or refined else 0,
        flip=conditioning is not None and conditioning.flip,
        crop=conditioning.crop if conditioning else 0,
        validation=len(task.validation),
        sha256=task.digest(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what draws and runs networks."""
    found = {}
    for name in ("sane", "torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from its sources
            found[name] = "not installed"
    return found


def _of_entries(entries: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(entries.items()):
        digest.update(f"{name}\0{values.dtype}\0{values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
