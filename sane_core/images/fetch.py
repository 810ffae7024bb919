"""Download a dataset on request, checked before it gets its name.

A file under its name is whole: what arrives goes to a temporary file beside it, which is renamed
once size and checksum are right. A file that is already right is kept.
"""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO

from sane_core.images.registry import entry_for
from sane_core.images.sources import Source
from schemas.errors import UserError

TIMEOUT = 60.0
"""Seconds that a server may be silent."""

_CHUNK = 2**18
_HASHES: dict[str, Callable[[], "hashlib._Hash"]] = {
    "MD5": partial(hashlib.md5, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
}
Progress = Callable[[str, int, int | None], None]
"""Called with the file's path below the data folder, its bytes so far and, where told, in all."""


def fetch(
    name: str,
    root: Path,
    on_progress: Progress | None = None,
    sources: Iterable[Source] | None = None,
) -> list[Path]:
    """Download what is missing of a dataset.

    Args:
        name: Name of a dataset.
        root: The data folder.
        on_progress: Told about every piece that arrives.
        sources: Where from; None = the published places.

    Returns:
        The files, in the order of the sources.

    Raises:
        ValueError: If there is no dataset of that name.
        UserError: If it cannot be fetched, or what arrives is not the published file.
    """
    entry = entry_for(name)
    chosen = list(entry.sources if sources is None else sources)
    if not chosen:
        raise UserError(
            f"dataset {name} cannot be fetched{f': {entry.note}' if entry.note else ''}"
        )
    paths = []
    for source in chosen:
        path = root / source.path
        if not (path.is_file() and is_published(path, source)):
            _download(name, source, path, on_progress)
        paths.append(path)
    return paths


def is_published(path: Path, source: Source) -> bool:
    """Return whether a file has every checksum that is known of it."""
    return all(found == known for _, known, found in _sums(path, source))


def _download(name: str, source: Source, path: Path, on_progress: Progress | None) -> None:
    if not source.url.startswith(("https://", "http://")):
        raise UserError(f"the address of {source.path} must be http or https, got {source.url}")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            _receive(source, file, on_progress)
        for kind, known, found in _sums(temporary, source):
            if known != found:
                raise UserError(
                    f"{source.url} must have the {kind} {known}, got {found}; nothing was kept"
                )
        temporary.chmod(0o644)
        temporary.replace(path)
    except urllib.error.URLError as error:
        raise UserError(_unreachable(name, source, path, error.reason)) from error
    except (TimeoutError, HTTPException, ConnectionError) as error:
        raise UserError(_unreachable(name, source, path, error or type(error).__name__)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _receive(source: Source, file: IO[bytes], on_progress: Progress | None) -> None:
    with urllib.request.urlopen(source.url, timeout=TIMEOUT) as answer:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        received = 0
        while received <= source.limit and (chunk := answer.read(_CHUNK)):
            received += len(chunk)
            file.write(chunk)
            if on_progress:
                on_progress(source.path, received, total)
    if received > source.limit or (total is not None and received != total):
        wanted = f"at most {source.limit} bytes" if received > source.limit else f"{total} bytes"
        raise UserError(f"{source.url} must have {wanted}, got {received}; nothing was kept")
    file.flush()
    os.fsync(file.fileno())


def _sums(path: Path, source: Source) -> list[tuple[str, str, str]]:
    """Return kind, known and found checksum for each one known."""
    sums = []
    for kind, known in (("MD5", source.md5), ("SHA-256", source.sha256)):
        if known:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, _HASHES[kind])
            sums.append((kind, known, digest.hexdigest()))
    return sums


def _unreachable(name: str, source: Source, path: Path, reason: object) -> str:
    return (
        f"dataset {name} must be downloaded from {source.url}, which failed ({reason}); "
        f"with no network, copy the file to {path}"
    )
