"""The files of a folder, a .tar, a .tar.gz or a .zip, read in place.

Nothing is extracted: a name from an archive is compared, never opened. Links and devices are
refused, and no more bytes are unpacked than the caller allows, whatever the archive claims.
"""

import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from schemas.errors import UserError

Member = tuple[str, Callable[[], bytes]]
"""Name with `/` between its parts, and what reads it until the next member is asked for."""

_GZIP = b"\x1f\x8b"
_BLOCK = 512


def members(source: Path, limit: int) -> Iterator[Member]:
    """Yield the files of a folder or archive.

    Args:
        source: Folder (links to folders are not followed), .tar, .tar.gz or .zip.
        limit: Bytes, unpacked, that one file and an archive as a whole may have.

    Raises:
        UserError: If it cannot be read, holds a link, or has more bytes.
    """
    with _explained(source):
        packed = _zip if not source.is_dir() and zipfile.is_zipfile(source) else _tar
        for name, read in (_folder if source.is_dir() else packed)(source, limit):
            yield name, _explaining(source, read)


def read_named(source: Path, names: Collection[str], limit: int) -> dict[str, bytes]:
    """Read files of a folder or archive by the last part of their names.

    Args:
        source: Folder or archive.
        names: Such as `test_batch.bin`; every one must be there.
        limit: Bytes, unpacked, that one file and an archive as a whole may have.

    Raises:
        UserError: If one is missing.
    """
    found: dict[str, bytes] = {}
    for name, read in members(source, limit):
        last = name.rsplit("/", 1)[-1]
        if last in names:
            found[last] = read()
        if len(found) == len(names):
            return found
    missing = [name for name in names if name not in found]
    raise UserError(f"{source} must hold {', '.join(missing)}; get the file again")


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Turn what damage does to the readers of archives into one sentence."""
    try:
        yield
    except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{source} must be a readable folder, .tar, .tar.gz or .zip, got {error}; "
            "get the file again"
        ) from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile: unknown method, or a password
        raise UserError(f"{source} cannot be unpacked: {error}; get the file again") from error


def _explaining(source: Path, read: Callable[[], bytes]) -> Callable[[], bytes]:
    def explained() -> bytes:
        with _explained(source):
            return read()

    return explained


def _folder(source: Path, limit: int) -> Iterator[Member]:
    for folder, folders, files in os.walk(source):
        folders.sort()
        for file in sorted(files):
            path = Path(folder, file)
            yield path.relative_to(source).as_posix(), partial(_read_file, path, limit)


def _read_file(path: Path, limit: int) -> bytes:
    if not path.is_file() or path.stat().st_size > limit:
        raise UserError(f"{path} must be a file of at most {limit} bytes; get the file again")
    return path.read_bytes()


def _zip(source: Path, limit: int) -> Iterator[Member]:
    total = 0
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                raise UserError(_no_links(source, info.filename))
            total += info.file_size
            if total > limit:
                raise UserError(_too_large(source, limit))
            yield info.filename, partial(archive.read, info)


def _tar(source: Path, limit: int) -> Iterator[Member]:
    with ExitStack() as stack:
        file = stack.enter_context(source.open("rb"))
        packed = file.peek(2)[:2] == _GZIP
        unpacked = stack.enter_context(gzip.GzipFile(fileobj=file)) if packed else file
        stream = _Bounded(unpacked, limit, source)
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                raise UserError(_no_links(source, member.name))
            yield member.name, partial(_read_member, archive, member)
        while stream.read(2**20):
            pass
        if any(stream.last):  # tarfile takes an archive cut between two members for a whole one
            raise EOFError("an archive without its end")


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


class _Bounded(io.RawIOBase):
    """A stream that ends with an error after `limit` bytes, and remembers its last block."""

    def __init__(self, file: io.BufferedIOBase, limit: int, source: Path) -> None:
        self.file, self.left, self.limit, self.source = file, limit, limit, source
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise UserError(_too_large(self.source, self.limit))
        self.last = (self.last + data)[-_BLOCK:]
        return data


def _no_links(source: Path, name: str) -> str:
    return f"{source} must hold files and folders only, got {name!r}; get the file again"


def _too_large(source: Path, limit: int) -> str:
    return f"{source} must hold at most {limit} bytes when unpacked; get the file again"
