"""Image data for training and scoring zoos, split once by seed into train, validation and test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.seeding import rng_for

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Images:
    """Images and labels of one part.

    Attributes:
        pixels: float32 [images, channels, height, width] in [0, 1].
        labels: int64 [images].
    """

    pixels: np.ndarray
    labels: np.ndarray


def split_digits(seed: int, train: int, validation: int, test: int) -> dict[str, Images]:
    """Split scikit-learn's 1,797 handwritten digits (8x8, 10 classes) by seed.

    Args:
        seed: The run's seed.
        train: Number of training images.
        validation: Number of validation images (every selection uses these).
        test: Number of test images (reported, never selected on).

    Raises:
        ValueError: If more images are asked for than there are.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    total = len(digits.target)
    if train + validation + test > total:
        raise ValueError(
            f"train + validation + test images must be <= {total} for digits, "
            f"got {train} + {validation} + {test}"
        )
    order = rng_for(seed, "images").permutation(total)
    pixels = (digits.images / 16).astype(np.float32)[:, None]
    bounds = np.cumsum([0, train, validation, test])
    return {
        part: Images(pixels[order[a:b]], digits.target[order[a:b]].astype(np.int64))
        for part, a, b in zip(PARTS, bounds[:-1], bounds[1:], strict=True)
    }


def write_images(path: Path, parts: dict[str, Images]) -> None:
    """Write every part to one `.npz`."""
    arrays = {f"{part}_pixels": images.pixels for part, images in parts.items()}
    arrays |= {f"{part}_labels": images.labels for part, images in parts.items()}
    np.savez(path, allow_pickle=False, **arrays)


def read_images(path: Path) -> dict[str, Images]:
    """Read what `write_images` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return {part: Images(arrays[f"{part}_pixels"], arrays[f"{part}_labels"]) for part in PARTS}
