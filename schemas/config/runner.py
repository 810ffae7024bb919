"""Who runs the shards of a stage. No result depends on it, so it is part of no key."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.records import Record


class RunnerConfig(Record):
    """Threads of the run's own process, or the processes of a Dask cluster."""

    kind: Literal["threads", "dask"] = Field(
        default="threads", description="what shards run on; dask needs pip install 'sane[dask]'"
    )
    workers: int = Field(default=0, ge=0, description="shards at a time; 0: one on each core")
    scheduler: str | None = Field(
        default=None,
        description="address of a running Dask scheduler, such as tcp://head:8786; without one, "
        "kind dask starts processes on this machine",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> "RunnerConfig":
        if self.scheduler is not None and self.kind != "dask":
            raise ValueError(f"scheduler needs kind dask, got kind {self.kind}")
        if self.scheduler is not None and self.workers:
            raise ValueError(
                f"workers must be 0 with a scheduler, whose workers are all used, "
                f"got {self.workers}"
            )
        return self
