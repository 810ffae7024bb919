"""A dataset as its publisher splits it, and the three parts that runs use.

Validation images come out of the training images, by seed; official test images are never trained
or selected on. No image lies in two parts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sane_core.images.images import PARTS, Images
from sane_core.images.resize import convert
from sane_core.seeding import rng_for
from schemas.config.images import count_parts
from schemas.errors import UserError


class Published(NamedTuple):
    """What one reader finds in the files of a dataset.

    Attributes:
        train: Training images; all images where there is no official split.
        test: Official test images, or None.
        classes: Number of classes.
    """

    train: Images
    test: Images | None
    classes: int


@dataclass(frozen=True)
class Dataset:
    """A dataset and where it comes from.

    Attributes:
        name: As in the configuration.
        train: Training images; all images where there is no official split.
        test: Official test images; None = there is no official split.
        classes: Number of classes.
        licence: Licence, or what the publisher says instead.
        note: What to know about it.
    """

    name: str
    train: Images
    test: Images | None
    classes: int
    licence: str
    note: str = ""


def split(
    dataset: Dataset,
    seed: int,
    train: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    size: int | None = None,
    grey: bool = False,
    scratch: Path | None = None,
) -> dict[str, Images]:
    """Split a dataset by seed into train, validation and test.

    Args:
        dataset: What there is.
        seed: The run's seed.
        train: Number of training images; None = all that the others leave.
        validation: Number of validation images (every selection uses these); None = a tenth of
            the training images.
        test: Number of test images (reported, never selected on); None = the official test
            images, or a fifth of all where there is no official split.
        size: Height and width in pixels; None = as they are (see `sane_core.images.resize`).
        grey: Whether to bring the images to one channel.
        scratch: Folder whose disk holds the parts; None = memory.

    Raises:
        ValueError: If more images are asked for than there are.
    """
    total = len(dataset.train)
    official = dataset.test
    counts = count_parts(
        dataset.name, total, len(official) if official else 0, train, validation, test
    )
    order = rng_for(seed, "images").permutation(total)
    bounds = np.cumsum([0, *counts])
    chosen = {
        part: (dataset.train, order[a:b])
        for part, a, b in zip(PARTS, bounds[:-1], bounds[1:], strict=True)
    }
    if official:
        order = rng_for(seed, "images", "test").permutation(len(official))
        chosen["test"] = (official, order[: counts[2]])
    return {
        part: convert(images, index, size, grey, scratch)
        for part, (images, index) in chosen.items()
    }


def check_labels(labels: np.ndarray, classes: int, source: str, first: int = 0) -> np.ndarray:
    """Return labels as int64 that count from 0.

    Args:
        labels: Whole numbers [images].
        classes: Number of classes.
        source: File that they come from.
        first: The label of the first class in that file.

    Raises:
        UserError: If a label is out of range.
    """
    last = first + classes - 1
    wrong = labels[(labels < first) | (labels > last)]
    if len(wrong):
        raise UserError(
            f"{source} must hold labels from {first} to {last}, got {wrong[0]}; get the file again"
        )
    return labels.astype(np.int64) - first
