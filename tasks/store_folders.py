"""Where artifacts lie: folders of a local disk, or prefixes of an object store.

Both publish in one order, data files first and the manifest last, so that an artifact with a
manifest is a whole artifact.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from schemas.errors import DamagedArtifact, StoreError
from schemas.records import Manifest
from tasks.store_files import (
    MANIFEST,
    RESULT,
    first_damage,
    list_files,
    sync,
    sync_tree,
    unlisted_file,
    write_synced,
)

_NEW_MANIFEST = f"{MANIFEST}.new"
_SWAPS = 8


class Folders(Protocol):
    """Artifact folders by place, `<stage>/<key>`."""

    def uri(self, place: str) -> str:
        """Return the URI of a folder."""

    def manifest_text(self, place: str) -> bytes | None:
        """Return the manifest's text, or None where there is no artifact."""

    def places(self, stage: str) -> list[str]:
        """Return the places of a stage's artifacts, sorted; some may not be committed."""

    def sizes(self, place: str, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes in bytes of those of the files that exist."""

    def publish(self, folder: Path, place: str, manifest: bytes, taken: Callable[[], bool]) -> None:
        """Bring the data files of a local folder into place, then the manifest.

        Nothing happens where `taken` says that another process was first.
        """

    def withdraw(self, place: str) -> None:
        """Un-commit: remove the manifest, and the orchestrator's result beside it."""

    def bring(self, place: str, manifest: Manifest, whole: bool = True) -> Path:
        """Return a local folder with the verified data files.

        Unless `whole`, the manifest lists a part of the artifact's files; others are left alone.

        Raises:
            DamagedArtifact: Names the file; the message is completed by the store.
        """

    def check_writable(self) -> None:
        """Write a small file and remove it; any exception says why that cannot be done."""


class LocalFolders:
    """Folders of a local disk; every step is synced, and a rename makes it visible."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uri(self, place: str) -> str:
        return str(self.root / place)

    def manifest_text(self, place: str) -> bytes | None:
        try:
            return (self.root / place / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def places(self, stage: str) -> list[str]:
        return sorted(
            f"{stage}/{path.parent.name}" for path in self.root.glob(f"{stage}/*/{MANIFEST}")
        )

    def sizes(self, place: str, names: Iterable[str]) -> dict[str, int]:
        paths = {name: self.root / place / name for name in names}
        return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}

    def publish(self, folder: Path, place: str, manifest: bytes, taken: Callable[[], bool]) -> None:
        target = self.root / place
        write_synced(folder / _NEW_MANIFEST, manifest)
        sync_tree(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The manifest travels with its data and is renamed through this handle, so it can never
        # land beside the files of another process, lock or no lock.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if self._move_into_place(folder, target, taken):
                sync(target.parent)
                os.rename(_NEW_MANIFEST, MANIFEST, src_dir_fd=handle, dst_dir_fd=handle)
                os.fsync(handle)
                sync(self.root)
        finally:
            os.close(handle)

    def _move_into_place(self, folder: Path, target: Path, taken: Callable[[], bool]) -> bool:
        for _ in range(_SWAPS):
            try:
                os.rename(folder, target)
                return True
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            if taken():
                return False
            # What is left of a damaged artifact, or of a commit that was killed.
            with suppress(FileNotFoundError):
                os.rename(target, folder.with_name(f"old-{uuid4().hex}"))
        raise StoreError(f"{target} is being written by other processes: run the command again")

    def withdraw(self, place: str) -> None:
        for name in (MANIFEST, RESULT):
            (self.root / place / name).unlink(missing_ok=True)

    def bring(self, place: str, manifest: Manifest, whole: bool = True) -> Path:
        folder = self.root / place
        if damage := first_damage(folder, manifest):
            raise DamagedArtifact(damage)
        if whole and (name := unlisted_file(folder, manifest)):
            raise StoreError(
                f"{folder}: {name} is not in the manifest; move that file out of the folder"
            )
        return folder

    def check_writable(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        probe = self.root / f".probe-{uuid4().hex}"
        try:
            write_synced(probe, b"sane")
        finally:
            probe.unlink(missing_ok=True)


class RemoteFolders:
    """Prefixes of an object store; readers get a local copy, kept by content digest."""

    def __init__(self, files: Any, root: str, copies: Path) -> None:
        """Args: `files`, an fsspec file system; `root`, a path in it; `copies`, a local folder."""
        self.files = files
        self.root = root.rstrip("/")
        self.copies = copies

    def uri(self, place: str) -> str:
        return str(self.files.unstrip_protocol(f"{self.root}/{place}"))

    def manifest_text(self, place: str) -> bytes | None:
        try:
            return bytes(self.files.cat_file(f"{self.root}/{place}/{MANIFEST}"))
        except FileNotFoundError:
            return None

    def places(self, stage: str) -> list[str]:
        self.files.invalidate_cache()
        found = self.files.glob(f"{self.root}/{stage}/*/{MANIFEST}")
        return sorted(f"{stage}/{path.split('/')[-2]}" for path in found)

    def sizes(self, place: str, names: Iterable[str]) -> dict[str, int]:
        self.files.invalidate_cache()
        prefix = self.files._strip_protocol(f"{self.root}/{place}") + "/"
        found = self.files.find(prefix, detail=True)
        sizes = {path.removeprefix(prefix): int(info["size"]) for path, info in found.items()}
        return {name: sizes[name] for name in names if name in sizes}

    def publish(self, folder: Path, place: str, manifest: bytes, taken: Callable[[], bool]) -> None:
        if taken():
            return
        # The manifest of a damaged artifact must be gone before its files are replaced.
        self.withdraw(place)
        for name, path in list_files(folder).items():
            self.files.put_file(str(path), f"{self.root}/{place}/{name}")
        self._create(f"{self.root}/{place}/{MANIFEST}", manifest)

    def _create(self, path: str, data: bytes) -> None:
        """Put an object that must not exist, where the storage can promise that."""
        try:
            self.files.pipe_file(path, data, mode="create")
        except FileExistsError:
            return  # another process was first; the store looks at what it committed
        except (TypeError, ValueError, NotImplementedError):
            self.files.pipe_file(path, data)

    def withdraw(self, place: str) -> None:
        for name in (MANIFEST, RESULT):
            with suppress(FileNotFoundError):
                self.files.rm_file(f"{self.root}/{place}/{name}")
        self.files.invalidate_cache()

    def bring(self, place: str, manifest: Manifest, whole: bool = True) -> Path:
        del whole  # what is copied is listed
        copy = self.copies / manifest.digest
        if copy.is_dir() and first_damage(copy, manifest) is None:
            return copy
        download = self.copies / f".{manifest.digest}-{uuid4().hex}"
        try:
            self._download(place, manifest, download)
            if damage := first_damage(download, manifest):
                raise DamagedArtifact(damage)
            self._keep(download, copy, manifest)
        finally:
            shutil.rmtree(download, ignore_errors=True)
        return copy

    def _download(self, place: str, manifest: Manifest, folder: Path) -> None:
        for name in manifest.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                self.files.get_file(f"{self.root}/{place}/{name}", str(folder / name))
            except FileNotFoundError:
                raise DamagedArtifact(f"{name} is missing") from None

    def _keep(self, download: Path, copy: Path, manifest: Manifest) -> None:
        """Rename a verified download into the copies, in place of a damaged one."""
        try:
            os.rename(download, copy)
        except OSError:
            if first_damage(copy, manifest) is not None:
                os.rename(copy, download.with_name(f"{download.name}-old"))
                shutil.rmtree(download.with_name(f"{download.name}-old"), ignore_errors=True)
                os.rename(download, copy)

    def check_writable(self) -> None:
        probe = f"{self.root}/.probe-{uuid4().hex}"
        self.files.pipe_file(probe, b"sane")
        self.files.rm_file(probe)
