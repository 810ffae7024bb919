"""One digest for everything a dataset would be read from, so that changed files are noticed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from sane_core.images.digits import digits_version
from sane_core.images.registry import entry_for, find_layout, missing
from schemas.errors import UserError


def source_digest(name: str, root: Path) -> str:
    """Return the SHA-256, in hex, over the names and contents of a dataset's files.

    Args:
        name: Known name, `npz:PATH` or `folder:PATH`.
        root: The data folder; where it lies does not matter.

    Raises:
        ValueError: If there is no dataset of that name.
        UserError: If its files are missing or cannot be read.
    """
    if name == "digits":
        return hashlib.sha256(digits_version().encode()).hexdigest()
    layout = find_layout(entry_for(name), root)
    if layout is None:
        raise UserError(missing(name, root))
    digest = hashlib.sha256()
    try:
        for file in layout.files:
            for path, label in _files(root / file):
                with path.open("rb") as content:
                    inner = hashlib.file_digest(content, "sha256").hexdigest()
                digest.update(f"{label}\0{inner}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UserError(f"dataset {name} must be readable, got {error}") from error
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a file, or every file below a folder, with its name from there on."""
    if not path.is_dir():
        yield path, path.name
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            found = Path(folder, file)
            yield found, found.relative_to(path).as_posix()
