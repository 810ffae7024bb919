"""Image data of one's own as files: `folder:PATH`, with `train/CLASS/*.png` and perhaps `test/`.

JPEG and PNG. Classes are the folders below `train/`, in the order of their names. All images are
colour unless every one is grey.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sane_core.images.dataset import Published
from sane_core.images.images import Images
from sane_core.images.pixels import decode, look
from sane_core.images.resize import resize
from sane_core.images.scratch import make_room
from schemas.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class _File:
    path: Path
    label: int
    height: int
    width: int
    colour: bool


def read_tree(path: Path, size: int | None = None, scratch: Path | None = None) -> Published:
    """Decode every image below a folder.

    Args:
        path: The folder that holds `train/`.
        size: Height and width to bring images to; needed where they differ in size.
        scratch: Folder whose disk holds the pixels; None = memory.

    Raises:
        UserError: If there are no images, classes differ, or sizes differ and `size` is None.
    """
    train_folder = path / "train"
    folders = sorted(train_folder.iterdir()) if train_folder.is_dir() else []
    classes = [folder.name for folder in folders if folder.is_dir()]
    train = _find(train_folder, classes) if classes else []
    test = _find(path / "test", classes) if (path / "test").is_dir() else []
    if len(classes) < 2 or not train:
        raise UserError(
            f"{path} must hold train/CLASS/*.png or *.jpg for two classes or more, "
            f"got {len(classes)} classes and {len(train)} images"
        )
    _check_sizes(path, [*train, *test], size)
    colour = any(file.colour for file in (*train, *test))
    parts = [_decode(files, colour, size, scratch) for files in (train, test) if files]
    return Published(parts[0], parts[1] if len(parts) > 1 else None, len(classes))


def _find(folder: Path, classes: list[str]) -> list[_File]:
    files = []
    for below in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        if below.name not in classes:
            raise UserError(f"{below} must be one of the classes of train ({', '.join(classes)})")
        for path in sorted(below.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                height, width, colour = look(path.read_bytes(), str(path))
                files.append(_File(path, classes.index(below.name), height, width, colour))
    return files


def _check_sizes(path: Path, files: list[_File], size: int | None) -> None:
    first = files[0]
    for file in files:
        if size is None and (file.height, file.width) != (first.height, first.width):
            raise UserError(
                f"{path} must hold images of one size unless `size` is given, got "
                f"{first.width}x{first.height} ({first.path.name}) and "
                f"{file.width}x{file.height} ({file.path.name})"
            )


def _decode(files: list[_File], colour: bool, size: int | None, scratch: Path | None) -> Images:
    channels = 3 if colour else 1
    height, width = (size, size) if size else (files[0].height, files[0].width)
    pixels = make_room((len(files), channels, height, width), scratch=scratch)
    for place, file in enumerate(files):
        image = decode(file.path.read_bytes(), str(file.path), colour)
        pixels[place] = resize(image[None], size)[0] if size else image
    return Images(pixels, np.array([file.label for file in files], np.int64), scale=1 / 255)
