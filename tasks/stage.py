"""What makes a function a stage: a Prefect task over the store, cached, retryable.

`@stage("tokens")` turns `make(job, config, seed, **opened inputs)`, which writes files into
`job.folder`, into a task `stage(config, at=place, **artifacts) -> Artifact`. The store is the
truth; Prefect's cache entry lies in the artifact's own folder and is dropped with it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from pydantic import Field

from schemas.errors import SaneError
from schemas.records import Artifact, Record
from tasks.keys import stage_key
from tasks.live import Stopped
from tasks.retries import RETRIES, RETRY_DELAYS, RETRY_JITTER, is_transient
from tasks.runners import fan_out_here
from tasks.store import Store
from tasks.store_records import Job


class Place(Record):
    """Where a stage runs: the store, the run's seed."""

    store: str = Field(description="a folder or an fsspec URI")
    seed: int = Field(ge=0)


class Stage:
    """A stage: its name, its key, and the Prefect task that makes its artifact."""

    def __init__(self, name: str, make: Callable[..., None]) -> None:
        self.name = name
        self.make = make
        self.module = make.__module__
        self.task: Task[..., Artifact] = task(
            name=name,
            description=make.__doc__,
            cache_policy=CacheKeyFnPolicy(cache_key_fn=self._cache_key),
            persist_result=True,
            result_serializer="json",
            cache_result_in_memory=False,
            retries=RETRIES,
            retry_delay_seconds=RETRY_DELAYS,
            retry_jitter_factor=RETRY_JITTER,
            retry_condition_fn=is_transient,
        )(self._run)

    def __call__(self, config: Record, *, at: Place, **inputs: Artifact) -> Artifact:
        """Make the artifact without Prefect, or return it if the store has it."""
        return self._run(config, at, inputs)

    def submit(
        self, config: Record, *, at: Place, label: str | None = None, **inputs: Artifact
    ) -> Artifact:
        """Make the artifact as a task of the current flow run; `label` names the task run."""
        storage = Path(at.store).resolve() if _is_local(at.store) else None
        named = self.task.with_options(result_storage=storage, task_run_name=label or self.name)
        return named(config, at, inputs)

    def key(self, config: Record, at: Place, inputs: dict[str, Artifact]) -> str:
        """Return the stage key: a hash of code, configuration, inputs, seed and versions."""
        return stage_key(self.name, self.module, config, inputs, at.seed)

    def find(self, config: Record, *, at: Place, **inputs: Artifact) -> Artifact | None:
        """Return the artifact if the store has it."""
        return Store(at.store).find(self.name, self.key(config, at, inputs))

    def _run(self, config: Record, at: Place, inputs: dict[str, Artifact]) -> Artifact:
        store = Store(at.store)

        def make(job: Job) -> None:
            job.fan_out = fan_out_here()
            opened = {name: store.open(artifact) for name, artifact in inputs.items()}
            try:
                self.make(job, config, at.seed, **opened)
            except ValueError as error:
                # The core says in one sentence what must hold; here it becomes the user's answer.
                raise SaneError(f"stage {self.name} cannot go on: {error}") from error

        key = self.key(config, at, inputs)
        try:
            artifact, _ = store.get_or_make(
                self.name, key, make, config=config, inputs=inputs, seed=at.seed
            )
        except Stopped:
            store.discard(self.name, key)
            raise
        return artifact

    def _cache_key(self, context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
        del context
        config, at, inputs = parameters["config"], parameters["at"], parameters["inputs"]
        store, key = Store(at.store), self.key(config, at, inputs)
        if store.find(self.name, key) is None:
            store.forget(self.name, key)
        return store.result_key(self.name, key) if _is_local(at.store) else None


def stage(name: str) -> Callable[[Callable[..., None]], Stage]:
    """Turn `make(job, config, seed, **inputs)` into a stage called `name`."""
    return lambda make: Stage(name, make)


def _is_local(store: str) -> bool:
    return "://" not in store
