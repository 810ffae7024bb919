"""Stage `tokens`: align, standardize and tokenize a zoo."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sane_core.weights.preprocess import preprocess_zoo
from schemas.config.preprocess import PreprocessConfig
from tasks.progress import progress_bar
from tasks.shards import Done
from tasks.stage import stage
from tasks.store_records import Job, OpenArtifact

S = TypeVar("S")


@dataclass(frozen=True)
class _Watched:
    """A job whose steps show how far they are."""

    job: Job

    @property
    def folder(self) -> Path:
        return self.job.folder

    def map(
        self, function: Callable[[S, Path], Any], shards: Iterable[S], *, name: str
    ) -> list[Done]:
        chosen = list(shards)
        with progress_bar(name, len(chosen), "shards") as bar:
            return self.job.map(function, chosen, name=name, on_done=bar.advance)

    def keep(self, file: Path, name: str) -> None:
        self.job.keep(file, name)


@stage("tokens")
def preprocess(job: Job, config: PreprocessConfig, seed: int, zoo: OpenArtifact) -> None:
    """Align to one reference, standardize by the train split, tokenize to Parquet."""
    job.metrics.update(preprocess_zoo(zoo.folder, config, seed, _Watched(job)))
