"""A progress bar with a rate and an estimate, on the terminal's error stream."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tasks.progress_page import ProgressPage


class RateColumn(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        """Render the speed, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "")


class Bar:
    """One stage's bar, and the same on the page of its task run."""

    def __init__(self, progress: Progress, task: TaskID, page: ProgressPage) -> None:
        self._progress, self._task, self._page = progress, task, page

    def advance(self, steps: float = 1, note: str = "") -> None:
        """Go on by some steps."""
        self._progress.update(self._task, advance=steps, note=note)
        self._show(note)

    def reach(self, step: float, total: float, note: str = "") -> None:
        """Go to a step of a total that may only be known now."""
        self._progress.update(self._task, completed=step, total=total, note=note)
        self._show(note)

    def _show(self, note: str) -> None:
        task = next(task for task in self._progress.tasks if task.id == self._task)
        self._page.show(task.completed, task.total, f"{task.fields['unit']} {note}")


@contextmanager
def progress_bar(name: str, total: float | None, unit: str) -> Iterator[Bar]:
    """Show a bar while the block runs; without a terminal only its end is printed."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    page = ProgressPage(name)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total, unit=unit, note="")
        yield Bar(progress, task, page)
    page.close()
