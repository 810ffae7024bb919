"""A job whose steps show how far they are: the `Work` that a stage gives to the core."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tasks.progress import progress_bar
from tasks.shards import Done
from tasks.store_records import Job

S = TypeVar("S")


@dataclass(frozen=True)
class Watched:
    """Runs the shards of a job under a bar per step.

    Attributes:
        job: The job.
    """

    job: Job

    @property
    def folder(self) -> Path:
        """Where the result's files go."""
        return self.job.folder

    def map(
        self, function: Callable[[S, Path], Any], shards: Iterable[S], *, name: str
    ) -> list[Done]:
        """Run `function(shard, folder)` for every shard; return what each made, in order."""
        chosen = list(shards)
        with progress_bar(name, len(chosen), "shards") as bar:
            return self.job.map(function, chosen, name=name, on_done=bar.advance)

    def keep(self, file: Path, name: str) -> None:
        """Make a file that a shard wrote one of the result's."""
        self.job.keep(file, name)
