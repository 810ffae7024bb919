"""Who runs the shards of a flow run: Prefect's task runner of the configured kind.

Inside a flow run every shard is a task run. The runner is the flow run's own, in Prefect's context,
so that `Task.submit` finds it as well.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from prefect import get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from schemas.config.runner import RunnerConfig
from schemas.errors import SaneError, UserError
from tasks.retries import RETRIES, RETRY_DELAYS, RETRY_JITTER, is_transient
from tasks.shards import Call, FanOut, at_a_time, cores, in_threads

_PROCESSES = "distributed.nanny.pre-spawn-environ"
_QUIET = {
    # What goes wrong is told once, by the process that runs the flow.
    f"{_PROCESSES}.DASK_LOGGING__DISTRIBUTED": "critical",
    f"{_PROCESSES}.PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_PROPAGATE": "false",
}


def check_runner(config: RunnerConfig) -> None:
    """Find out before the work starts whether the runner is installed.

    Raises:
        UserError: It is not, with what to install.
    """
    if config.kind == "dask" and find_spec("prefect_dask") is None:
        raise UserError(
            "runner.kind dask needs prefect-dask, which is not installed: "
            "pip install --constraint constraints.txt '.[dask]', or leave runner.kind at threads"
        )


@contextmanager
def shards_on(config: RunnerConfig) -> Iterator[None]:
    """Run the shards of every stage within on the configured runner; inside a flow run only.

    Raises:
        UserError: The runner is not installed.
        RuntimeError: There is no flow run.
    """
    check_runner(config)
    context = FlowRunContext.get()
    if context is None:
        raise RuntimeError("a runner belongs to a flow run")
    with task_runner(config) as runner, context.model_copy(update={"task_runner": runner}):
        yield


def task_runner(config: RunnerConfig) -> TaskRunner[Any]:
    """Return Prefect's task runner; a Dask cluster starts with the first shard."""
    if config.kind == "threads":
        return ThreadPoolTaskRunner(max_workers=config.workers or cores())
    from prefect_dask import DaskTaskRunner

    if config.scheduler is not None:
        return DaskTaskRunner(address=config.scheduler)
    kept = {"n_workers": config.workers or cores()}
    return DaskTaskRunner(cluster_class=_processes, cluster_kwargs=kept)


def _processes(n_workers: int) -> Any:
    """Start Dask worker processes on this machine, one thread each; they end with this process."""
    import dask
    from distributed import LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(_QUIET):
        return LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            security=True,  # else any user of this machine could send it code
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )


def fan_out_here() -> FanOut:
    """Return what runs shards here: the flow run's runner in a stage's task, else threads."""
    if FlowRunContext.get() is None or TaskRunContext.get() is None:
        return in_threads
    return _as_task_runs


@task(
    name="shard",
    task_run_name="{call.label}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_jitter_factor=RETRY_JITTER,
    retry_condition_fn=is_transient,
)
def shard_task(call: Call) -> None:
    """Run one shard of a stage."""
    call.run()


def _as_task_runs(calls: Sequence[Call], on_done: Callable[[], None]) -> None:
    context = FlowRunContext.get()
    if context is None:
        raise RuntimeError("task runs belong to a flow run")
    runner = context.task_runner
    if isinstance(runner, ThreadPoolTaskRunner):
        # Prefect's default has no bound.
        bounded = runner._max_workers < sys.maxsize
        width = runner._max_workers if bounded else cores()
        at_a_time(_submit_and_wait, calls, width, on_done)
        return
    with _api_for_other_processes():
        at_a_time(_submit_and_wait, calls, _workers(runner), on_done)


def _submit_and_wait(call: Call) -> None:
    try:
        shard_task.submit(call).result()
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise
        raise SaneError(
            f"{call.label}: the Dask worker died again and again while it ran, most likely for "
            "want of memory; set runner.workers lower, and run the command again"
        ) from error


def _workers(runner: TaskRunner[Any]) -> int:
    """Return how many shards a runner runs at a time; a Dask cluster is started to ask it."""
    client = getattr(runner, "client", None)
    return cores() if client is None else sum(client.nthreads().values())


@contextmanager
def _api_for_other_processes() -> Iterator[None]:
    """Give the address of an embedded API to worker processes, which start their own otherwise."""
    with get_client(sync_client=True) as client:
        address = str(client.api_url)
    with temporary_settings({PREFECT_API_URL: address}):
        yield
