"""Configuration of the images stage: which image data, how many images of each part, what size.

What can be known without reading a file is checked here: names, and counts of known datasets.
"""

from typing import Literal

from pydantic import Field, model_validator

from schemas.records import Record

PREFIXES = ("npz:", "folder:")
"""Image data of one's own: `npz:PATH` or `folder:PATH`."""


class KnownDataset(Record):
    """What is known of a dataset before a file of it is read."""

    train: int = Field(ge=1, description="training images, or all images without an official split")
    test: int = Field(ge=0, description="official test images; 0 = there is no official split")
    channels: int = Field(ge=1, description="1 = grey, 3 = red, green, blue")
    side: int = Field(ge=1, description="height and width in pixels")
    classes: int = Field(ge=2, description="number of classes")
    licence: str = Field(description="licence, or what the publisher says instead")


def _known(
    train: int, test: int, channels: int, side: int, classes: int, licence: str
) -> KnownDataset:
    return KnownDataset(
        train=train, test=test, channels=channels, side=side, classes=classes, licence=licence
    )


_UNSTATED = "none stated"
KNOWN = {
    "digits": _known(1797, 0, 1, 8, 10, "CC BY 4.0"),
    "mnist": _known(60_000, 10_000, 1, 28, 10, "CC BY-SA 3.0"),
    "fashion-mnist": _known(60_000, 10_000, 1, 28, 10, "MIT"),
    "svhn": _known(73_257, 26_032, 3, 32, 10, "non-commercial use only"),
    "cifar10": _known(50_000, 10_000, 3, 32, 10, _UNSTATED),
    "cifar10-jpeg": _known(50_000, 10_000, 3, 32, 10, _UNSTATED),
    "cifar100": _known(50_000, 10_000, 3, 32, 100, _UNSTATED),
    "stl10": _known(5_000, 8_000, 3, 96, 10, _UNSTATED),
    "tiny-imagenet": _known(100_000, 10_000, 3, 64, 200, "ImageNet terms, non-commercial research"),
}
"""Datasets by name; `tiny-imagenet` may be there in part, with fewer classes."""


class ImagesConfig(Record):
    """Image data, split once by seed. Defaults are scikit-learn's digits."""

    dataset: str = Field(
        default="digits",
        description="name of a known dataset, npz:PATH or folder:PATH "
        "(a relative PATH counts from the data folder)",
    )
    train: int | None = Field(
        default=None, ge=1, description="training images; null = all that the others leave"
    )
    validation: int | None = Field(
        default=None,
        ge=1,
        description="validation images, out of the training images; null = a tenth of those",
    )
    test: int | None = Field(
        default=None,
        ge=1,
        description="test images; null = the official test images, "
        "or a fifth of all images where there is no official split",
    )
    size: int | None = Field(
        default=None, ge=1, le=4096, description="height and width in pixels; null = as they are"
    )
    grey: bool = Field(default=False, description="one channel (ITU-R 601 luma) instead of three")
    normalize: Literal["none", "dataset"] = Field(
        default="none",
        description="none = pixels in [0, 1]; dataset = also per channel minus the mean, "
        "divided by the standard deviation",
    )

    @model_validator(mode="after")
    def _find_enough_images(self) -> "ImagesConfig":
        if self.dataset in KNOWN:
            known = KNOWN[self.dataset]
            count_parts(
                self.dataset, known.train, known.test, self.train, self.validation, self.test
            )
        elif not any(
            self.dataset.startswith(prefix) and self.dataset != prefix for prefix in PREFIXES
        ):
            raise ValueError(unknown_dataset(self.dataset))
        return self


def unknown_dataset(name: str) -> str:
    """Return the sentence for a name that no dataset has."""
    return f"dataset must be {', '.join(KNOWN)}, npz:PATH or folder:PATH, got {name!r}"


def count_parts(
    name: str,
    images: int,
    official_test: int,
    train: int | None,
    validation: int | None,
    test: int | None,
) -> tuple[int, int, int]:
    """Return how many images the train, validation and test part have.

    Args:
        name: Dataset, for the sentence of an error.
        images: Training images there are; all images where there is no official split.
        official_test: Official test images; 0 = all parts come from `images`.
        train: Images wanted; None = all that the others leave.
        validation: Images wanted; None = a tenth of `images`.
        test: Images wanted; None = all official test images, or else a fifth of `images`.

    Raises:
        ValueError: If more images are asked for than there are.
    """
    validation = images // 10 if validation is None else validation
    if test is None:
        test = official_test or images // 5
    if official_test and test > official_test:
        raise ValueError(f"test images must be <= {official_test} for {name}, got {test}")
    others = validation if official_test else validation + test
    train = max(images - others, 1) if train is None else train
    if train + others > images:
        wanted = (train, validation) if official_test else (train, validation, test)
        raise ValueError(
            f"{' + '.join(('train', 'validation', 'test')[: len(wanted)])} images must be "
            f"<= {images} for {name}, got {' + '.join(map(str, wanted))}"
        )
    return train, validation, test
