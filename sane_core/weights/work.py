"""What runs the shards of a long piece of work: one after another here, otherwise in a pipeline."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

S = TypeVar("S")


class Made(Protocol):
    """A finished shard."""

    @property
    def folder(self) -> Path:
        """What it wrote."""

    @property
    def value(self) -> Any:
        """What its function returned, as JSON holds it."""


class Work(Protocol):
    """Runs shards, and keeps what they write."""

    @property
    def folder(self) -> Path:
        """Where the result's files go."""

    def map(
        self, function: Callable[[S, Path], Any], shards: Iterable[S], *, name: str
    ) -> Sequence[Made]:
        """Run `function(shard, folder)` for every shard; return what each made, in order."""

    def keep(self, file: Path, name: str) -> None:
        """Make a file that a shard wrote one of the result's."""


@dataclass(frozen=True)
class _Here:
    folder: Path
    value: Any


@dataclass(frozen=True)
class PlainWork:
    """Runs shards one after another.

    Attributes:
        folder: Where the result's files go.
        scratch: Where shards write.
    """

    folder: Path
    scratch: Path

    def map(
        self, function: Callable[[S, Path], Any], shards: Iterable[S], *, name: str
    ) -> list[_Here]:
        """Run every shard in a folder of its own below the scratch."""
        made = []
        for i, shard in enumerate(shards):
            place = self.scratch / name / f"{i:05d}"
            place.mkdir(parents=True)
            made.append(_Here(place, function(shard, place)))
        return made

    def keep(self, file: Path, name: str) -> None:
        """Link or copy the file."""
        link_or_copy(file, self.folder / name)


def link_or_copy(file: Path, target: Path) -> None:
    """Make the same file stand at another place as well, whose folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:  # a file system without links
        shutil.copyfile(file, target)
