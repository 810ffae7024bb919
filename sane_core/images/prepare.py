"""From a dataset's files to three parts on disk: decoded once, memory-mapped afterwards."""

from dataclasses import replace
from pathlib import Path

from sane_core.images.dataset import Dataset, split
from sane_core.images.files import write_images
from sane_core.images.images import Images
from sane_core.images.normalize import measure
from sane_core.images.registry import entry_for, load_dataset
from schemas.config.images import ImagesConfig


def prepare(config: ImagesConfig, root: Path, seed: int, folder: Path) -> dict[str, float]:
    """Read, split, resize and write the images of a configuration.

    Args:
        config: Which images.
        root: The data folder.
        seed: The run's seed.
        folder: An empty folder; gets `PART_pixels.npy`, `PART_labels.npy` and `images.json`. Its
            disk also holds what is decoded on the way.

    Returns:
        Metrics: images of each part, channels, height, width and classes.

    Raises:
        ValueError: If more images are asked for than there are.
        UserError: If the dataset's files are missing or damaged.
    """
    dataset, parts = open_parts(config, root, seed, folder)
    write_images(folder, parts, dataset.name, dataset.classes, dataset.licence)
    channels, height, width = parts["train"].shape
    return {f"images.{name}": float(len(part)) for name, part in parts.items()} | {
        "images.channels": float(channels),
        "images.height": float(height),
        "images.width": float(width),
        "images.classes": float(dataset.classes),
    }


def open_parts(
    config: ImagesConfig, root: Path, seed: int, scratch: Path | None = None
) -> tuple[Dataset, dict[str, Images]]:
    """Read, split, resize and normalize the images of a configuration.

    Args:
        config: Which images.
        root: The data folder.
        seed: The run's seed.
        scratch: Folder whose disk holds what is decoded; None = memory.

    Returns:
        The dataset, and its parts `train`, `validation` and `test`.

    Raises:
        ValueError: If more images are asked for than there are.
        UserError: If the dataset's files are missing or damaged.
    """
    dataset = load_dataset(config.dataset, root, size=config.size, scratch=scratch)
    counts = (config.train, config.validation, config.test)
    parts = split(dataset, seed, *counts, size=config.size, grey=config.grey, scratch=scratch)
    if config.normalize == "dataset":
        mean, std = _normalization(config.dataset, parts["train"], dataset.train.shape)
        parts = {name: replace(part, mean=mean, std=std) for name, part in parts.items()}
    return dataset, parts


def _normalization(
    name: str, train: Images, shape: tuple[int, int, int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the customary numbers where images have their own shape, or else measured ones."""
    entry = entry_for(name)
    return (entry.mean, entry.std) if entry.mean and train.shape == shape else measure(train)
