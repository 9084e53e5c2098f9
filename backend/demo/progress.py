"""What the demo shows while it works: a line per step, moving on a terminal, plain where there is none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


class Step:
    """One line; safe for threads."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        """`total` is how much there is to do, None when nobody knows."""
        self._progress = progress
        self._name = name
        self._id = progress.add_task(name, total=total, detail="")

    def show(self, done: int, total: int | None = None) -> None:
        """So much is done."""
        self._progress.update(self._id, completed=done, detail=str(done) if total is None else f"{done}/{total}")
        if total is not None:
            self._progress.update(self._id, total=total)

    def say(self, detail: str) -> None:
        """What happens right now."""
        self._progress.update(self._id, detail=detail)

    def finish(self, detail: str = "") -> None:
        """All of it is done."""
        total = self._progress.tasks[self._id].total or 1
        self._progress.update(self._id, completed=total, total=total, detail=detail)
        self._progress.stop_task(self._id)
        if not self._progress.console.is_terminal:
            seconds = self._progress.tasks[self._id].finished_time or 0.0
            self._progress.console.print(f"{self._name}: {detail or 'done'} ({seconds:.0f} s)", highlight=False)


class Steps:
    """All lines of one run."""

    def __init__(self, progress: Progress) -> None:
        """Made by `steps_on`."""
        self._progress = progress

    def begin(self, name: str, total: int | None = None) -> Step:
        """A new line."""
        return Step(self._progress, name, total)


@contextmanager
def steps_on(console: Console) -> Iterator[Steps]:
    """Show steps until the block ends."""
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Steps(progress)
