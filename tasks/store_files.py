"""Files of an artifact: their names, their hashes, and how they get safely onto a disk.

The same data files give the same content digest, wherever and whenever they were written.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import DiskFull, SaneError
from schemas.records import FileEntry, Manifest

MANIFEST = "manifest.json"
RESULT = "prefect-result"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_TEXTS = ("no space left on device", "disk is full", "quota exceeded", "not enough free space")
_NEXT_TO_NOTHING = 1 << 20
_hashed: dict[tuple[str, int, int, int], str] = {}


def is_safe_name(name: str) -> bool:
    """Say whether a name may be a data file: below its folder, and not one of the store's own."""
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and ":" not in parts[0]
    return plain and not {"", ".", ".."} & set(parts) and not is_store_name(name)


def is_store_name(name: str) -> bool:
    """Say whether a name belongs to the store or the orchestrator, and so is not data."""
    return name.startswith((MANIFEST, RESULT))


def list_files(folder: Path) -> dict[str, Path]:
    """Return the data files of a folder by relative name, sorted.

    Raises:
        ValueError: A link, a special file, or a name that the store keeps for itself.
    """
    found = {}
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"an artifact holds plain files only, got {name}")
        if not is_safe_name(name):
            raise ValueError(f"a data file cannot be called {name!r}: the store keeps that name")
        found[name] = path
    return dict(sorted(found.items()))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that is not itself a folder; links are not followed."""

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in [*links, *names])


def describe(folder: Path) -> dict[str, FileEntry]:
    """Return size and SHA-256 of every data file of a folder, by relative name."""
    return {
        name: FileEntry(sha256=_hash(path), size=path.stat().st_size)
        for name, path in list_files(folder).items()
    }


def content_digest(files: Mapping[str, FileEntry]) -> str:
    """Return the SHA-256 over the sorted (relative name, SHA-256) of the data files, in hex."""
    lines = (f"{name}\0{entry.sha256}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def first_damage(folder: Path, manifest: Manifest) -> str | None:
    """Return what is wrong with the files of an artifact, or None.

    Sizes are compared always, the SHA-256 once per file and process.
    """
    home = folder.resolve()
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(home) or not path.is_file():
            return f"{name} is missing"
        if (size := path.stat().st_size) != entry.size:
            return f"{name} has {size} bytes, its manifest says {entry.size}"
        if _hash_once(path) != entry.sha256:
            return f"{name} was altered: its SHA-256 is not the manifest's"
    return None


def unlisted_file(folder: Path, manifest: Manifest) -> str | None:
    """Return a visible file that the manifest does not list, or None.

    Readers scan folders (`tokens/split=…/*.parquet`), so a stray file would become data.
    """
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if name not in manifest.files and not hidden and not is_store_name(name):
            return name
    return None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_once(path: Path) -> str:
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns, state.st_ino)
    if key not in _hashed:
        _hashed[key] = _hash(path)
    return _hashed[key]


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_tree(folder: Path) -> None:
    """Wait until the disk has every file and every folder from `folder` down."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def sync(path: Path) -> None:
    """Wait until the disk has one file, or the entries of one folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def full_disk_named(store: str, folder: Path) -> Iterator[None]:
    """Turn "no space left", as any library words it, into one sentence with the remedy.

    Args:
        store: URI of the store, for the message.
        folder: Local folder that is written to.

    Raises:
        DiskFull: The body failed because the disk is full.
    """
    try:
        yield
    except SaneError:
        raise
    except Exception as error:
        if not is_full(error, folder):
            raise
        raise DiskFull(
            f"no space left for the store {store} (writing to {folder}): free some space or "
            "choose another `store`; nothing half-written was committed"
        ) from error


def is_full(error: BaseException, folder: Path) -> bool:
    """Say whether an error, however worded, means that the disk of a folder is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    if any(text in str(error).lower() for text in _FULL_TEXTS):
        return True
    # Some writers (torch's) fail without saying why.
    silent = isinstance(error, RuntimeError) or (isinstance(error, OSError) and not error.errno)
    return silent and _has_no_space(folder)


def _has_no_space(folder: Path) -> bool:
    """Say whether the disk where a folder is, or would be, has next to nothing free."""
    while not folder.exists():
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    return disk.total > 0 and disk.free < _NEXT_TO_NOTHING
