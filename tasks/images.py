"""Stage `images`: decode image data once, split it, and keep it ready to be memory-mapped."""

from pathlib import Path

from pydantic import Field

from sane_core.images.digest import source_digest
from sane_core.images.prepare import prepare
from schemas.config.images import ImagesConfig
from schemas.records import Record
from tasks.progress import progress_bar
from tasks.stage import stage
from tasks.store_records import Job


class ImagesStage(Record):
    """Which images, and what they are read from."""

    images: ImagesConfig
    data: str = Field(description="folder of the datasets' files")
    source: str = Field(description="digest of the files, so that changed ones are read again")

    @classmethod
    def of(cls, images: ImagesConfig, data: str) -> "ImagesStage":
        """Return the stage's configuration for the files as they are now.

        Raises:
            UserError: If the dataset's files are missing.
        """
        return cls(images=images, data=data, source=source_digest(images.dataset, Path(data)))


@stage("images")
def prepare_images(job: Job, config: ImagesStage, seed: int) -> None:
    """Read a dataset into train, validation and test arrays."""
    with progress_bar("images", 1, "datasets") as bar:
        job.metrics.update(prepare(config.images, Path(config.data), seed, job.folder))
        bar.advance()
