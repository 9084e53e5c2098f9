"""How far projects are, for people: lines that move on a terminal, and a report."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from backend.ledger import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from backend.ledger import FailureGroup
    from backend.preannotate import Standing, Taken

EVERY_S = 1.0  # counting a hundred thousand rows after each batch would cost more than taking the batch in
WIDEST_MESSAGE = 100
EXAMPLES = 5


class View:
    """Two lines: what was taken in, and how far the project is. Made by `watching`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._taking = progress.add_task("Tasks looked at", total=None, detail="")
        self._judging = progress.add_task("Published", total=None, detail="")
        self._shown_at = float("-inf")

    def took(self, taken: Taken) -> None:
        """The totals after a batch."""
        self._progress.update(self._taking, completed=taken.seen, detail=f"{taken.seen}, {taken.new} of them new")

    def show_sometimes(self, now: Callable[[], Standing]) -> None:
        """The project's standing, but not more often than is worth its price."""
        if time.monotonic() - self._shown_at > EVERY_S:
            self.show(now())

    def show(self, now: Standing) -> None:
        """The project's standing."""
        self._shown_at = time.monotonic()
        total = sum(now.states.values()) - now.blind
        self._progress.update(
            self._judging, total=total or None, completed=now.states[State.PUBLISHED], detail=sentence(now)
        )


@contextmanager
def watching(console: Console) -> Iterator[View]:
    """Show what moves until the block ends; nothing where there is no terminal."""
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield View(progress)


def sentence(now: Standing) -> str:
    """Every count, the speed, and how long it still takes, in one line."""
    counts = ", ".join(f"{now.states[state]} {state}" for state in State)
    delays = ", ".join(f"{group.count} tried again ({group.reason})" for group in now.delays)
    return "; ".join(part for part in (counts, delays, "paused" if now.paused else pace(now)) if part)


def pace(now: Standing) -> str:
    """The measured speed, and what follows from it."""
    if not now.rate:
        return "nothing judged in the last 5 min"
    speed = f"{now.rate:.2f}/s" if now.rate < 1 else f"{now.rate:.0f}/s"
    return speed if now.to_go_s is None else f"{speed}, {duration(now.to_go_s)} to go"


def duration(seconds: float) -> str:
    """The two largest units: `2 h 5 min`, `3 min 20 s`, `4 s`."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, whole = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole} s" if minutes else f"{whole} s"


def report(found: Sequence[Standing]) -> Iterator[RenderableType]:
    """How far each project is, and under it why tasks failed; titles and messages are text, no markup."""
    for one in found:
        yield Text(f"Project {one.project} {one.title}".rstrip() + f", {one.model_version}", style="bold")
        yield Text(f"  {sentence(one)}")
        if one.paused:
            yield Text(f"  Paused: nothing new is begun until vrthinker resume {one.project} (or vrthinker resume).")
        if one.automatic:
            yield Text("  New tasks are taken in by themselves.")
        if one.blind:
            yield Text(f"  {one.blind} of the judged are in the blind slice, which is never shown.")
        if one.failures:
            yield _groups("failed because", one.failures)
        if one.delays:
            yield _groups("tried again after", one.delays)


def _groups(because: str, groups: Sequence[FailureGroup]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in (because, "tasks", "the latest", "for example tasks"):
        table.add_column(heading, overflow="fold")
    for group in groups:
        sample = ", ".join(map(str, group.tasks[:EXAMPLES]))
        table.add_row(group.reason, str(group.count), Text(group.message[:WIDEST_MESSAGE]), sample)
    return table
