"""How far a stage is, on the page of its task run: a Prefect progress artifact.

Stages that are done within seconds show none. The page is a courtesy: where the server cannot be
reached, the stage goes on without it.
"""

import logging
import re
import time
from contextvars import copy_context
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

SECONDS = 5.0
"""From one update to the next, and from the start to the first."""


class ProgressPage:
    """The progress of one task run; outside of one it does nothing."""

    def __init__(self, name: str) -> None:
        context = TaskRunContext.get()
        self._key = _key(f"{context.task_run.name}-{name}") if context else None
        # Who shows progress may be a thread that knows nothing of the task run.
        self._name, self._context = name, copy_context()
        self._due = time.monotonic() + SECONDS
        self._artifact: UUID | None = None

    def show(self, done: float, total: float | None, note: str) -> None:
        """Show how far it is, if the last time was some seconds ago."""
        if self._key and total and time.monotonic() >= self._due:
            text = f"{done:,.0f} of {total:,.0f} {note}".strip()
            self._context.copy().run(self._send, 100 * min(1.0, done / total), text)
            self._due = time.monotonic() + SECONDS

    def close(self) -> None:
        """Show that all is done, where anything was shown at all."""
        if self._key and self._artifact:
            self._context.copy().run(self._send, 100.0, "done")

    def _send(self, percent: float, text: str) -> None:
        try:
            if self._artifact:
                update_progress_artifact(self._artifact, percent, description=text)
            else:
                self._artifact = create_progress_artifact(percent, self._key, text)
        except Exception as error:  # servers and clients have many ways to fail
            get_run_logger().log(logging.INFO, "progress of %s not shown: %s", self._name, error)
            self._key = None


def _key(text: str) -> str:
    """Return lowercase letters, digits and single dashes, as keys of artifacts must be."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
