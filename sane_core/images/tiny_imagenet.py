"""Tiny ImageNet: 64x64 JPEGs by class, in its folder tree, a .zip or a .tar, whole or in part.

The published test images have no labels, so the official validation images are the test part.
Which file is which image follows from the sorted names, so all packings give the same dataset.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sane_core.images.archive import members
from sane_core.images.dataset import Published
from sane_core.images.images import Images
from sane_core.images.pixels import decode
from sane_core.images.scratch import make_room
from schemas.errors import UserError

SIDE = 64
LIMIT = 2**30
"""Bytes that the whole archive may have, unpacked (as JPEGs)."""

_ANNOTATIONS = re.compile(r"(?:^|/)val/val_annotations\.txt$")
_TRAIN = re.compile(r"(?:^|/)train/(n\d{8})/(?:images/)?[^/]+\.(?:jpe?g|JPE?G)$")
_BY_CLASS = re.compile(r"(?:^|/)val/(n\d{8})/(?:images/)?[^/]+\.(?:jpe?g|JPE?G)$")
_TOGETHER = re.compile(r"(?:^|/)val/images/([^/]+\.(?:jpe?g|JPE?G))$")


@dataclass
class _Names:
    """Names of images, with the class where the name tells it."""

    train: dict[str, str] = field(default_factory=dict)
    test: dict[str, str] = field(default_factory=dict)


def read_tiny_imagenet(paths: Sequence[Path], scratch: Path | None = None) -> Published:
    """Decode every image of the classes that are there; grey ones become three equal channels.

    Args:
        paths: The one folder or archive.
        scratch: Folder whose disk holds the pixels; None = memory.

    Raises:
        UserError: If it is damaged, or an image has no class or another size.
    """
    (source,) = paths
    names = _find(source)
    classes = sorted(set(names.train.values()))
    parts = []
    places: dict[str, tuple[np.ndarray, int]] = {}
    for found in (names.train, names.test):
        chosen = [name for name in sorted(found) if found[name] in classes]
        labels = np.array([classes.index(found[name]) for name in chosen], np.int64)
        pixels = make_room((len(chosen), 3, SIDE, SIDE), scratch=scratch)
        places |= {name: (pixels, place) for place, name in enumerate(chosen)}
        parts.append(Images(pixels, labels, scale=1 / 255))
    for name, read in members(source, LIMIT):
        if name in places:
            pixels, place = places[name]
            pixels[place] = decode(read(), f"{name} of {source}", side=SIDE)
    if not all(map(len, parts)):
        raise UserError(
            f"{source} must hold train/CLASS/images/*.JPEG and val images of the same classes, "
            f"got {len(parts[0])} and {len(parts[1])}; get the file again"
        )
    return Published(parts[0], parts[1], len(classes))


def _find(source: Path) -> _Names:
    """Return the names of all images; the annotations may come after what they annotate."""
    names = _Names()
    together: dict[str, str] = {}
    annotations: dict[str, str] = {}
    seen: set[str] = set()
    for name, read in members(source, LIMIT):
        if name in seen:
            raise UserError(f"{source} must hold every file once, got {name!r} twice")
        seen.add(name)
        if match := _TRAIN.search(name):
            names.train[name] = match[1]
        elif match := _BY_CLASS.search(name):
            names.test[name] = match[1]
        elif match := _TOGETHER.search(name):
            together[name] = match[1]
        elif _ANNOTATIONS.search(name):
            annotations = _read_annotations(read(), f"{name} of {source}")
    unknown = [file for file in together.values() if file not in annotations]
    if unknown:
        raise UserError(
            f"val/val_annotations.txt of {source} must name the class of every val image, "
            f"and {unknown[0]} is not there; get the file again"
        )
    names.test |= {name: annotations[file] for name, file in together.items()}
    return names


def _read_annotations(data: bytes, source: str) -> dict[str, str]:
    """Return file name -> class, the first two columns."""
    rows = [line.split("\t") for line in data.decode("utf-8", "replace").splitlines() if line]
    if any(len(row) < 2 for row in rows):
        raise UserError(f"{source} must hold lines of file and class; get the file again")
    return {row[0]: row[1] for row in rows}
