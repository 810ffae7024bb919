"""The store: committed folders of files, found by stage and key (ARCHITECTURE.md, "The store").

`<root>/<stage>/<key>/{data files…, manifest.json}`. The manifest is the commit: data files first,
manifest last. No manifest, no artifact; a reader verifies; a damaged artifact is un-committed, so
that the same command rebuilds it. Locks save double work, correctness never needs one.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel

from schemas.errors import DamagedArtifact, SaneError, StoreError
from schemas.records import Artifact, Manifest
from tasks.locks import file_lock
from tasks.store_files import MANIFEST, RESULT, content_digest, full_disk_named
from tasks.store_folders import Folders, LocalFolders, RemoteFolders
from tasks.store_records import (
    Job,
    OpenArtifact,
    Origin,
    place_in_uri,
    place_of,
    read_manifest,
    write_manifest,
)

REBUILD = "run the same command again: the stage will be rebuilt"


class Store:
    """Artifacts in a local folder, or behind any fsspec URI."""

    def __init__(self, uri: str | Path, local: Path | None = None) -> None:
        """Name a store; nothing is read or written yet.

        Args:
            uri: A folder or an fsspec URI, e.g. `s3://bucket/sane`.
            local: Working folder of a remote store, for scratch, locks and copies; by default
                one of its own below `~/.cache/sane`. A local store works within itself.

        Raises:
            StoreError: No file system is installed for the URI.
        """
        self.uri = str(uri)
        try:
            files, path = url_to_fs(self.uri)
        except (ImportError, ValueError) as error:
            raise StoreError(f"store {self.uri} cannot be reached: {error}") from error
        self._folders: Folders
        if isinstance(files, LocalFileSystem):
            self._local = Path(path)
            self._folders = LocalFolders(Path(path))
        else:
            name = hashlib.sha256(self.uri.encode()).hexdigest()[:16]
            self._local = local or Path.home() / ".cache" / "sane" / name
            self._folders = RemoteFolders(files, path, self._local / "copies")

    def check_writable(self) -> None:
        """Find out before the work starts whether the store can be written.

        Raises:
            StoreError: It cannot, with the reason.
            DiskFull: It has no space left.
        """
        try:
            with full_disk_named(self.uri, self._local):
                self._folders.check_writable()
        except SaneError:
            raise
        # Object stores have their own exceptions: credentials, buckets, connections.
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise StoreError(
                f"store {self.uri} cannot be written ({reason}): choose another `store`"
            ) from error

    def find(self, stage: str, key: str) -> Artifact | None:
        """Return the artifact if it is committed and its files have their sizes.

        Cheap: one manifest and the sizes are read; `open` verifies the content.
        """
        place = place_of(stage, key)
        text = self._folders.manifest_text(place)
        if text is None:
            return None
        try:
            manifest = read_manifest(text, place)
        except DamagedArtifact:
            return None
        sizes = {name: entry.size for name, entry in manifest.files.items()}
        if self._folders.sizes(place, sizes) != sizes:
            return None
        return self._artifact(place, manifest)

    def artifacts(self, stage: str) -> list[tuple[Artifact, Manifest]]:
        """Return what is committed of a stage, the newest last; damaged manifests are left out."""
        found = []
        for place in self._folders.places(stage):
            text = self._folders.manifest_text(place)
            with suppress(DamagedArtifact):
                if text is not None:
                    manifest = read_manifest(text, place)
                    found.append((self._artifact(place, manifest), manifest))
        return sorted(found, key=lambda pair: pair[1].created)

    def get_or_make(
        self,
        stage: str,
        key: str,
        make: Callable[[Job], None],
        *,
        config: BaseModel | Mapping[str, object],
        inputs: Mapping[str, Artifact],
        seed: int,
        kind: str | None = None,
    ) -> tuple[Artifact, bool]:
        """Return the artifact and whether it was there already; make it once if not.

        Args:
            stage: Name of the stage.
            key: Its key (`tasks.keys.stage_key`).
            make: Writes the data files into `job.folder`.
            config, inputs, seed: What the key was made from, for the manifest.
            kind: Kind of the artifact; the stage's name if not given.

        Raises:
            DiskFull: The storage ran out of space; nothing was committed.
        """
        if found := self.find(stage, key):
            return found, True
        with self._locked(stage, key) as alone:
            if found := self.find(stage, key):
                return found, True
            job = self._start(stage, key, alone)
            with self._attempt(job, alone, Origin(kind or stage, config, inputs, seed)):
                make(job)
            return job.artifact, False

    @contextmanager
    def stage(
        self,
        stage: str,
        key: str,
        *,
        config: BaseModel | Mapping[str, object],
        inputs: Mapping[str, Artifact],
        seed: int,
        kind: str | None = None,
    ) -> Iterator[Job]:
        """Give a job to fill and commit it at a clean exit; see `get_or_make`.

        Where the artifact was committed meanwhile, that one stays and `job.artifact` is it.
        """
        with self._locked(stage, key) as alone:
            job = self._start(stage, key, alone)
            with self._attempt(job, alone, Origin(kind or stage, config, inputs, seed)):
                yield job

    def open(self, artifact: Artifact) -> OpenArtifact:
        """Verify an artifact and return its local files.

        An artifact is looked up in this store by the last two names of its URI, so a store can
        be moved, and nothing outside is ever touched.

        Raises:
            DamagedArtifact: A file is missing or altered; the artifact is un-committed.
            StoreError: The folder holds a file that is not the artifact's.
            DiskFull: No space for the local copy of a remote artifact.
        """
        place = place_in_uri(artifact)
        manifest = self.manifest(artifact)
        with self._healing(place), full_disk_named(self.uri, self._local):
            folder = self._folders.bring(place, manifest)
        return OpenArtifact(artifact, folder, manifest)

    def open_part(self, artifact: Artifact, names: Sequence[str]) -> OpenArtifact:
        """Verify some files of an artifact and return them, without looking at the others.

        Raises:
            DamagedArtifact: One of them is missing or altered; the artifact is un-committed.
            DiskFull: No space for the local copy of a remote artifact.
            KeyError: The artifact has no such file.
        """
        place = place_in_uri(artifact)
        manifest = self.manifest(artifact)
        if absent := sorted({*names} - {*manifest.files}):
            raise KeyError(f"{artifact.uri} has no file {absent[0]}, only {[*manifest.files]}")
        files = {name: manifest.files[name] for name in names}
        part = manifest.model_copy(update={"files": files, "digest": content_digest(files)})
        with self._healing(place), full_disk_named(self.uri, self._local):
            folder = self._folders.bring(place, part, whole=False)
        return OpenArtifact(artifact, folder, manifest)

    def forget(self, stage: str, key: str) -> None:
        """Un-commit an artifact, and drop the orchestrator's result of it, if there are any."""
        with suppress(OSError):
            self._folders.withdraw(place_of(stage, key))

    def discard(self, stage: str, key: str) -> None:
        """Delete what an attempt that will not be gone on with has left to resume from."""
        with self._locked(stage, key) as alone:
            if alone:
                shutil.rmtree(self._work(stage, key), ignore_errors=True)

    def manifest(self, artifact: Artifact) -> Manifest:
        """Return what an artifact is and where it came from, without reading its files.

        Raises:
            DamagedArtifact: The manifest is missing, altered, or of other content.
        """
        place = place_in_uri(artifact)
        with self._healing(place):
            text = self._folders.manifest_text(place)
            if text is None:
                raise DamagedArtifact(f"{MANIFEST} is missing")
            manifest = read_manifest(text, place)
            if manifest.digest != artifact.digest:
                raise DamagedArtifact(
                    f"{MANIFEST} has digest {manifest.digest}, expected {artifact.digest}"
                )
        return manifest

    def result_key(self, stage: str, key: str) -> str:
        """Return where, from the root, the orchestrator keeps its result of a stage.

        It lies in the artifact's own folder: who deletes the folder deletes the cache entry.
        """
        return f"{place_of(stage, key)}/{RESULT}"

    def _artifact(self, place: str, manifest: Manifest) -> Artifact:
        return Artifact(uri=self._folders.uri(place), digest=manifest.digest, kind=manifest.kind)

    @contextmanager
    def _healing(self, place: str) -> Iterator[None]:
        """Un-commit an artifact that turns out damaged, and say what to do."""
        try:
            yield
        except DamagedArtifact as damage:
            uri = self._folders.uri(place)
            remedy = REBUILD
            try:
                self._folders.withdraw(place)
            except OSError:
                remedy = f"delete {uri} (it could not be written) and {REBUILD}"
            raise DamagedArtifact(f"{uri}: {damage}; {remedy}") from None

    @contextmanager
    def _locked(self, stage: str, key: str) -> Iterator[bool]:
        path = self._local / ".locks" / f"{place_of(stage, key).replace('/', '-')}.lock"
        with full_disk_named(self.uri, self._local), file_lock(path) as alone:
            yield alone

    def _work(self, stage: str, key: str) -> Path:
        return self._local / ".work" / f"{stage}-{key}"

    def _start(self, stage: str, key: str, alone: bool) -> Job:
        work = self._work(stage, key)
        # A folder per attempt: without locks, two attempts must not share one.
        folder, scratch = work / f"attempt-{uuid4().hex}", work / "scratch"
        if alone:
            _remove_dead_attempts(work)
        with full_disk_named(self.uri, self._local):
            folder.mkdir(parents=True)
            scratch.mkdir(exist_ok=True)
        return Job(stage, key, folder, scratch)

    @contextmanager
    def _attempt(self, job: Job, alone: bool, origin: Origin) -> Iterator[None]:
        started = time.monotonic()
        try:
            with full_disk_named(self.uri, self._local):
                yield
                job.committed = self._commit(job, origin, started)
        finally:
            shutil.rmtree(job.folder, ignore_errors=True)
        shutil.rmtree(job.scratch.parent if alone else job.scratch, ignore_errors=True)

    def _commit(self, job: Job, origin: Origin, started: float) -> Artifact:
        place = place_of(job.stage, job.key)
        manifest = write_manifest(job, origin, time.monotonic() - started)
        self._folders.publish(
            job.folder,
            place,
            manifest.model_dump_json(indent=2).encode(),
            taken=lambda: self.find(job.stage, job.key) is not None,
        )
        artifact = self.find(job.stage, job.key)
        if artifact is None:
            raise StoreError(
                f"{self._folders.uri(place)} was replaced while it was committed: "
                "run the command again"
            )
        return artifact


def manifest_of(artifact: Artifact) -> Manifest:
    """Return the manifest of an artifact, from the store that its URI names.

    Raises:
        DamagedArtifact: The manifest is missing, altered, or of other content.
    """
    place = place_in_uri(artifact)
    return Store(artifact.uri.rstrip("/").removesuffix(f"/{place}")).manifest(artifact)


def _remove_dead_attempts(work: Path) -> None:
    """Remove what killed processes left behind, except what they can resume from."""
    for path in work.glob("*"):
        if path.name != "scratch":
            shutil.rmtree(path, ignore_errors=True)
