"""The files of a source: a folder, a glob or one file, walked in sorted order.

Nothing outside the source is opened: links to folders are not followed, links to files only where
they end inside, and what is no regular file (a pipe would block for ever) is rejected.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sane_core.zoo.readers.reader import Rejected
from schemas.errors import UserError

DEEPEST = 32
"""Folders within folders that are walked."""

_DIGITS = re.compile(r"(\d+)")
_NESTED = (f"folders must be nested at most {DEEPEST} deep", "flatten them")
_LINKED = ("links to folders are not followed", "put the folder itself there")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sorting key under which `run-9` comes before `run-10`."""
    return [
        (0, int(part), part) if part.isdecimal() and part.isascii() else (1, 0, part)
        for part in _DIGITS.split(text)
        if part
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is.

    Attributes:
        root: Its folder.
        chosen: Path components, with wildcards, of the files meant below the root; or None for all.
    """

    root: Path
    chosen: tuple[str, ...] | None = None

    def means(self, relative: Path) -> bool:
        """Whether a file, relative to the root, belongs to the source."""
        return self.chosen is None or _fits(relative.parts, self.chosen)


def locate(source: str) -> Place:
    """Return where a source is.

    Raises:
        UserError: If there is nothing.
    """
    path = Path(source)
    if path.is_dir():
        return Place(path)
    if path.exists():
        return Place(path.parent, (path.name,))
    parts = path.parts
    wild = next((i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)), None)
    if wild is not None:
        root = Path(*parts[:wild])
        if root.is_dir():
            return Place(root, parts[wild:])
    raise UserError(
        f"a source must be an existing folder, file or glob, got {source!r}; check the path"
    )


def exists(source: str) -> bool:
    """Whether a source is something on this machine."""
    try:
        locate(source)
    except (UserError, OSError, ValueError):
        return False
    return True


def walk(place: Place, inside: Path | None = None) -> Iterator[Path | Rejected]:
    """Yield the regular files of a source in sorted order; hidden ones are left out.

    Args:
        place: The source.
        inside: Folder that links may lead to; the source's own folder if not given.
    """
    yield from _walk(place, place.root, (inside or place.root).resolve(), DEEPEST)


def walk_files(place: Place, suffixes: tuple[str, ...]) -> Iterator[Path | Rejected]:
    """Yield the files of a source whose names end so, and the folders that are not walked."""
    for path in walk(place):
        if isinstance(path, Rejected):
            if path.file.endswith(suffixes) or path.reason in (_LINKED[0], _NESTED[0]):
                yield path
        elif path.name.endswith(suffixes):
            yield path


def has_file(files: Iterable[Path | Rejected]) -> bool:
    """Whether any of them is a file, usable or not; folders that are not walked say nothing."""
    return any(
        isinstance(file, Path) or file.reason not in (_LINKED[0], _NESTED[0]) for file in files
    )


def subfolders(folder: Path) -> Iterator[Path]:
    """Yield the folders in a folder, in sorted order; links are not followed."""
    yield from (Path(entry.path) for entry in _listed(folder) if _is_folder(entry))


def linked_folders(folder: Path, root: Path) -> Iterator[Rejected]:
    """Yield what in a folder is a link to a folder: it is not followed, and not lost either."""
    for entry in _listed(folder):
        if entry.is_symlink() and entry.is_dir():
            yield Rejected(relative_name(Path(entry.path), root), *_LINKED)


def check_file(path: Path, root: Path, inside: Path | None = None) -> Rejected | None:
    """Return why a file must not be opened, or None.

    Args:
        path: File below the root.
        root: Folder of the source.
        inside: Resolved folder that links may lead to; the root if not given.
    """
    name = relative_name(path, root)
    try:
        if path.is_symlink():
            target = path.resolve(strict=True)
            if not target.is_relative_to(inside or root.resolve()):
                return Rejected(
                    name, "a link must end inside the source", "put the file itself there"
                )
            if target.is_dir():
                return Rejected(name, *_LINKED)
        if not path.is_file():
            return Rejected(name, "it must be a regular file", "remove it or put a file there")
    except (OSError, RuntimeError) as error:
        return Rejected(name, f"it cannot be looked at: {_said(error)}", "check the file")
    return None


def relative_name(path: Path, root: Path) -> str:
    """Return a file's name relative to the source, with `/` between folders."""
    return path.relative_to(root).as_posix()


def state_lines(paths: Iterable[Path | Rejected], root: Path) -> Iterator[str]:
    """Yield name, size and time of change (ns) of every file."""
    for path in paths:
        if isinstance(path, Path):
            try:
                stat = path.stat()
            except OSError:
                continue
            yield f"{relative_name(path, root)}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}"


def size_of(path: Path) -> int:
    """Return a file's bytes, 0 where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _walk(place: Place, folder: Path, inside: Path, deepest: int) -> Iterator[Path | Rejected]:
    for entry in _listed(folder):
        path = Path(entry.path)
        if _is_folder(entry) and not deepest:
            if place.chosen is None:
                yield Rejected(relative_name(path, place.root), *_NESTED)
        elif _is_folder(entry):
            yield from _walk(place, path, inside, deepest - 1)
        elif place.means(path.relative_to(place.root)):
            yield check_file(path, place.root, inside) or path


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(
            f"folder {str(folder)!r} must be readable, got: {_said(error)}; check its permissions"
        ) from error
    return sorted(visible, key=lambda entry: (natural_key(entry.name), entry.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether path components fit components with wildcards; `**` stands for any number."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_fits(parts[i:], wanted[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _fits(parts[1:], wanted[1:])


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
