"""Images in a folder: one `.npy` per array, and `images.json` beside them.

`read_images(write_images(...))` is exact. Reading maps the files into memory, so it costs nothing
until pixels are used, and processes share them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sane_core.images.images import PARTS, Images
from schemas.errors import UserError

FACTS = "images.json"
BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class ImageFacts:
    """What `images.json` says.

    Attributes:
        dataset: Name of the dataset.
        classes: Number of classes.
        licence: Licence of the images.
        scale: See `Images`.
        mean: See `Images`.
        std: See `Images`.
        parts: Images of each part.
    """

    dataset: str
    classes: int
    licence: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parts: dict[str, int]


def write_images(
    folder: Path, parts: dict[str, Images], dataset: str = "", classes: int = 0, licence: str = ""
) -> None:
    """Write every part into a fresh folder, block by block; `images.json` comes last.

    Args:
        folder: An existing folder.
        parts: Images by part; scale, mean and std are the same in all.
        dataset: Name of the dataset.
        classes: Number of classes; 0 = what the labels show.
        licence: Licence of the images.

    Raises:
        ValueError: If parts are missing or are scaled differently.
    """
    if tuple(parts) != PARTS:
        raise ValueError(f"parts must be {', '.join(PARTS)}, got {', '.join(parts) or 'none'}")
    scales = {(part.scale, part.mean, part.std) for part in parts.values()}
    if len(scales) != 1:
        raise ValueError(f"scale, mean and std must be the same in all parts, got {scales}")
    for name, part in parts.items():
        _write_array(folder / f"{name}_pixels.npy", part.pixels)
        _write_array(folder / f"{name}_labels.npy", part.labels)
    shown = 1 + max((int(part.labels.max()) for part in parts.values() if len(part)), default=-1)
    ((scale, mean, std),) = scales
    sizes = {name: len(part) for name, part in parts.items()}
    facts = ImageFacts(dataset, classes or shown, licence, scale, mean, std, sizes)
    text = json.dumps(asdict(facts), indent=2, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")


def read_images(folder: Path) -> dict[str, Images]:
    """Read what `write_images` wrote, memory-mapped.

    Raises:
        UserError: If files are missing, damaged or do not belong together.
    """
    facts = read_facts(folder)
    parts = {}
    for name in PARTS:
        pixels = _read_array(folder / f"{name}_pixels.npy")
        labels = _read_array(folder / f"{name}_labels.npy")
        if not len(pixels) == len(labels) == facts.parts.get(name):
            raise UserError(
                f"{folder} must hold {facts.parts.get(name)} {name} images and labels, "
                f"got {len(pixels)} and {len(labels)}; prepare the images again"
            )
        parts[name] = Images(pixels, labels, facts.scale, facts.mean, facts.std)
    return parts


def read_facts(folder: Path) -> ImageFacts:
    """Read `images.json`.

    Raises:
        UserError: If it is missing or damaged.
    """
    try:
        values = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        values |= {name: tuple(values[name]) for name in ("mean", "std")}
        return ImageFacts(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{folder / FACTS} must describe the images beside it, got {error}; "
            "prepare the images again"
        ) from error


def _write_array(path: Path, array: np.ndarray) -> None:
    """Write like `np.save`, but in blocks, and where the disk is full by an error, not a signal."""
    step = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    header = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    with path.open("xb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(array), step):
            file.write(np.ascontiguousarray(array[start : start + step]).data)


def _read_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} must be an array of prepared images, got {error}; prepare the images again"
        ) from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} must hold one array; prepare the images again")
    return array
