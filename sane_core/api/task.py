"""The images that samples are selected on and conditioned on, whatever they were given as.

Validation images select, train images give running statistics; test images are only looked at to
make sure that none is among the validation images.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch

from sane_core.api.description import ZooRecord
from sane_core.architectures.architecture import Architecture
from sane_core.generation.batch_norm import Conditioning, conditioning_on
from sane_core.images.apart import check_apart, selected_on
from sane_core.images.images import Images
from sane_core.images.prepare import open_parts
from sane_core.seeding import seed_for
from schemas.config.augmented import Augmented
from schemas.config.images import ImagesConfig
from schemas.config.recipes import recipe_on
from schemas.config.sample import SampleConfig


@dataclass(frozen=True)
class Task:
    """What networks are to do.

    Attributes:
        name: Of the data.
        train: Images that running statistics are measured on.
        validation: Images that networks are selected on.
        classes: Number of classes; None where only the labels show some.
        dataset: As configurations name the images, so that a recipe on them is found; "" where
            images were given.
        augmented: How train images are moved before running statistics are measured on them; None:
            as the networks' training did, where it is known.
    """

    name: str
    train: Images
    validation: Images
    classes: int | None = None
    dataset: str = ""
    augmented: Augmented | None = None

    def conditioning(self, config: SampleConfig) -> Conditioning | None:
        """Return what running statistics are measured on.

        Raises:
            ValueError: If there is one image only.
        """
        seed = seed_for(config.seed, "conditioning")
        return conditioning_on(self.train, config, self.augmented or Augmented(), seed)

    def digest(self) -> str:
        """Return the SHA-256, in hex, of the validation images and their labels as they are used.

        Blocks keep the memory small; equal images in equal order have equal digests.
        """
        digest = hashlib.sha256(self.validation.labels.tobytes())
        for start in range(0, len(self.validation), 1024):
            digest.update(self.validation.numbers(slice(start, start + 1024)).tobytes())
        return digest.hexdigest()


Data: TypeAlias = Images | ImagesConfig | Mapping[str, Images] | Task
"""Validation images; which data to read and split; the parts themselves; or a task read before."""


def task_of(data: Data, folder: Path, seed: int) -> Task:
    """Return the task that data stands for.

    Args:
        data: Images on their own are validation images, and running statistics are measured on
            them too (without their labels). Parts by name are `train` and `validation`, and
            `test` to check against.
        folder: Where the files of datasets lie.
        seed: Of the split; that of the zoo's training keeps its training images out of validation.

    Raises:
        ValueError: If a part is missing or empty, or validation images are test images.
        UserError: If files are missing or damaged.
    """
    if isinstance(data, Task):
        return _checked(data)
    if isinstance(data, ImagesConfig):
        return _read(data, folder, seed)
    if isinstance(data, Images):
        return _checked(Task("the images given", data, data))
    if not isinstance(data, Mapping) or not {"train", "validation"} <= data.keys():
        got = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise ValueError(
            "data must be images, an ImagesConfig, or the parts train and validation (and test), "
            f"got {got or 'nothing'}"
        )
    task = _checked(Task("the images given", data["train"], data["validation"]))
    if "test" in data:
        check_apart(task.validation, data["test"], task.name)
    return task


def as_trained(task: Task, zoo: ZooRecord | None, architecture: Architecture) -> Task:
    """Say how train images are moved: as in the training of the networks, where it is known.

    Running statistics that trained networks keep are of images that were flipped and cropped.

    Args:
        task: The images; how they are moved may be settled already.
        zoo: That the networks are of; it goes first.
        architecture: Of the networks, for a recipe of this architecture on these images.
    """
    if task.augmented is not None:
        return task
    if zoo is not None and zoo.augmented is not None:
        return replace(task, augmented=zoo.augmented)
    recipe = recipe_on(architecture.name, task.dataset)
    known = Augmented.of(recipe.training()) if recipe else None
    return replace(task, augmented=known or Augmented())


def check_fits(task: Task, architecture: Architecture) -> None:
    """Refuse data that a network cannot be scored on.

    Args:
        task: The images.
        architecture: What is sampled.

    Raises:
        ValueError: If images have another shape than the network takes, or other classes than it
            tells apart.
    """
    for images in (task.train, task.validation):
        if images.shape != architecture.input_shape:
            raise ValueError(
                f"data must have images of shape {list(architecture.input_shape)} for "
                f"{architecture.name}, got {list(images.shape)}; resize them (size, grey), or name "
                "the architecture with its image size, as 'resnet18[size=16,width=8]'"
            )
    classes = classes_of(architecture)
    seen = 1 + int(max(task.train.labels.max(), task.validation.labels.max()))
    if seen > classes or task.classes not in (None, classes):
        raise ValueError(
            f"data must have the {classes} classes of {architecture.name}, got "
            f"{task.classes or seen}; take networks trained on these classes as prompts"
        )


def classes_of(architecture: Architecture) -> int:
    """Return how many classes a network tells apart."""
    with torch.no_grad(), torch.device("meta"):
        logits = architecture.outline(torch.zeros(2, *architecture.input_shape))
    return int(logits.shape[1])


def _read(config: ImagesConfig, folder: Path, seed: int) -> Task:
    """Read and split; what a publisher has put in both parts is left out of validation."""
    dataset, parts = open_parts(config, folder, seed)
    validation = selected_on(parts, config.dataset)
    read = (parts["train"], validation, dataset.classes, config.dataset)
    return _checked(Task(dataset.name, *read))


def _checked(task: Task) -> Task:
    for name in ("train", "validation"):
        if not len(getattr(task, name)):
            raise ValueError(f"data must hold {name} images, {task.name} has none")
    return task
