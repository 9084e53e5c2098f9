"""What a project manager may do to running work, from the command line or the status page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from backend.ledger import Ledger


class Withdrawing(Protocol):
    """The judge queue, as steering needs it."""

    def withdraw_projects(self, projects: Collection[int] | None) -> int:
        """Take whatever waits of these projects, or of all, off the queue.

        Raises:
            QueueError: Redis cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Steering:
    """The ledger is switched first: when Redis is down, reconciling brings it in line as soon as it is back.

    `reconcile` enqueues what the ledger wants and no job stands for. Every method raises `LedgerError` when nothing was
    changed, and `QueueError` when only the ledger was.
    """

    ledger: Ledger
    queue: Withdrawing
    reconcile: Callable[[], object]

    def retry(self, project: int, model_version: str, reasons: tuple[str, ...] = ()) -> int:
        """Give the project's failed tasks, of these reasons or of all, another chance; how many there were.

        Tasks without usable data stay failed until they are corrected in Label Studio and asked for again.
        """
        again = self.ledger.requeue(project, model_version=model_version, reasons=reasons)
        if again:
            self.reconcile()
        return again

    def pause(self, project: int | None = None) -> int:
        """Begin nothing new of the project, or of any; how many tasks were taken off the queue until it goes on."""
        self.ledger.pause(project)
        return self.queue.withdraw_projects(None if project is None else [project])

    def resume(self, project: int | None = None) -> bool:
        """Go on; False where another pause still covers the project, or for None some project."""
        self.ledger.resume(project)
        self.reconcile()
        paused = self.ledger.paused()
        return not (paused.projects if project is None else paused.covers(project))

    def cancel(self, project: int) -> int:
        """Give up what waits to be judged; how many tasks. What is judged already still gets to Label Studio."""
        cancelled = self.ledger.cancel(project)
        self.queue.withdraw_projects([project])
        return cancelled
