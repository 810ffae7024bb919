"""What the store hands out and writes down: jobs, opened artifacts, manifests, names of places."""

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sane_core.weights.work import link_or_copy
from schemas.errors import DamagedArtifact, StoreError
from schemas.records import Artifact, Manifest
from tasks.keys import ROOT, canonical_config, recorded_versions
from tasks.shards import Call, Done, FanOut, folder_name, in_threads, map_shards
from tasks.store_files import MANIFEST, content_digest, describe, is_safe_name

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
S = TypeVar("S")


@dataclass
class Job:
    """One attempt at an artifact.

    Attributes:
        folder: Empty at the start; its files become the artifact.
        scratch: Outlives a killed or failed attempt, so that a stage resumes from its own
            checkpoints here (write them to a temporary name, then rename); removed after the
            commit.
        metrics: Flat metric names and values, for the manifest.
        facts: Named facts, for the manifest, e.g. the reader used.
        timings: What was measured of this machine, for the manifest; equal runs may differ in it.
        fan_out: Runs the shards that the stage maps; threads of this process by default.
    """

    stage: str
    key: str
    folder: Path
    scratch: Path
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    committed: Artifact | None = None
    fan_out: FanOut = in_threads
    _mapped: set[str] = field(default_factory=set)

    def map(
        self,
        function: Callable[[S, Path], Any],
        shards: Iterable[S],
        *,
        name: str,
        on_done: Callable[[], None] = lambda: None,
    ) -> list[Done]:
        """Run a function on every shard and return what each made, in the order of the shards.

        The shards run where `runner` of the configuration says, on one thread each, and the result
        does not depend on that. Those that an earlier attempt finished are not run again.

        Args:
            function: `function(shard, folder)`, at the top of a module. It writes files into the
                empty folder and returns what JSON can hold. It may be tried again, in a new folder.
            shards: Small plain values or frozen records, the same for every attempt: nothing of
                `job.folder`, which is new each time. A shard that differs is run again; where it
                holds a path of the scratch (a finished step) or of the store, or the device, that
                is after the store was moved or on a machine of another kind.
            name: Of this step, e.g. `"align"`; once per stage.
            on_done: Called after every shard, also those that were done already.

        Raises:
            ValueError: The name is taken, or no name.
            TypeError: A function or shard that cannot be sent to another process.
            Exception: That of the first shard that failed; those that ran were awaited.
        """
        if name in self._mapped or not _NAME.fullmatch(name):
            raise ValueError(f"name must be new and match {_NAME.pattern}, got {name!r}")
        self._mapped.add(name)
        place = self.scratch / "shards" / name
        calls = [
            Call(
                label=f"{self.stage}.{name}-{index:05d}",
                function=function,
                shard=shard,
                folder=place / folder_name(index, function, shard),
            )
            for index, shard in enumerate(shards)
        ]
        return map_shards(calls, self.fan_out, on_done)

    def keep(self, file: Path, name: str) -> None:
        """Make a file that a shard wrote a data file; it also stays where it is, for a next try.

        Args:
            file: The file, below `scratch`.
            name: Relative name in the artifact, e.g. `split=train/part-00003.parquet`.
        """
        link_or_copy(file, self.folder / name)

    @property
    def artifact(self) -> Artifact:
        """The committed artifact.

        Raises:
            RuntimeError: The job has not been committed yet.
        """
        if self.committed is None:
            raise RuntimeError(f"{self.stage}/{self.key} is not committed yet")
        return self.committed


@dataclass(frozen=True)
class Origin:
    """What a key was made from, for the manifest."""

    kind: str
    config: BaseModel | Mapping[str, object]
    inputs: Mapping[str, Artifact]
    seed: int


@dataclass(frozen=True)
class OpenArtifact:
    """A verified artifact, on local disk."""

    artifact: Artifact
    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Return the path of one data file.

        Raises:
            KeyError: The artifact has no such file.
        """
        if name not in self.manifest.files:
            raise KeyError(f"{self.artifact.uri} has no file {name}, only {[*self.manifest.files]}")
        return self.folder / name


def place_of(stage: str, key: str) -> str:
    """Return the place of an artifact below the root of its store, `<stage>/<key>`.

    Raises:
        ValueError: A name that could lead out of the store.
    """
    for name in (stage, key):
        if not _NAME.fullmatch(name):
            raise ValueError(f"stage and key must match {_NAME.pattern}, got {name!r}")
    return f"{stage}/{key}"


def place_in_uri(artifact: Artifact) -> str:
    """Return the place that the last two names of an artifact's URI say.

    Raises:
        StoreError: The URI does not end in a stage and a key.
    """
    try:
        stage, key = artifact.uri.rstrip("/").split("/")[-2:]
        return place_of(stage, key)
    except ValueError:
        raise StoreError(f"an artifact's URI ends in <stage>/<key>, got {artifact.uri}") from None


def write_manifest(job: Job, origin: Origin, seconds: float) -> Manifest:
    """Return the manifest of the files that a job has written.

    Raises:
        ValueError: No data file was written, or one that cannot be part of an artifact.
    """
    files = describe(job.folder)
    if not files:
        raise ValueError(f"stage {job.stage} wrote no data file into its folder")
    return Manifest(
        stage=job.stage,
        key=job.key,
        digest=content_digest(files),
        kind=origin.kind,
        config=canonical_config(origin.config),
        inputs=dict(origin.inputs),
        files=files,
        metrics={name: float(value) for name, value in job.metrics.items()},
        facts={name: str(value) for name, value in job.facts.items()},
        timings=job.timings,
        seed=origin.seed,
        versions=recorded_versions(),
        git_revision=git_revision(),
        created=time.time(),
        seconds=seconds,
    )


def read_manifest(text: bytes, place: str) -> Manifest:
    """Return a manifest that agrees with itself and its place.

    Raises:
        DamagedArtifact: It does not; names of files that would lead out of the folder included.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise DamagedArtifact(f"{MANIFEST} cannot be read") from None
    for name in manifest.files:
        if not is_safe_name(name):
            raise DamagedArtifact(f"{MANIFEST} lists {name!r}, which is no name of a data file")
    if f"{manifest.stage}/{manifest.key}" != place:
        raise DamagedArtifact(f"{MANIFEST} is that of {manifest.stage}/{manifest.key}")
    if content_digest(manifest.files) != manifest.digest:
        raise DamagedArtifact(f"{MANIFEST} was altered: its digest is not that of its files")
    return manifest


@cache
def git_revision(root: Path = ROOT) -> str | None:
    """Return the commit of the sources, `-dirty` if they differ; None outside a checkout."""
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() if told.returncode == 0 else None
