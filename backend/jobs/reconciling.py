"""Nothing lost: compare what the ledger wants with what Redis still has, and put back what is missing.

Tries are counted in the ledger, not by RQ's `Retry`: one count has to cover every way a try can end (an error that the
worker reported, a worker killed, a Redis wiped), outlive Redis, and be seen on the status page. Finding dead workers
is RQ's own: heartbeats and registries. Running this regularly is RQ's own too: the publisher's maintenance hook
(`worker.PublishWorker`). RQ's scheduler and cron keep their plans in Redis, whose loss is what is repaired here.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from backend.errors import JobCrashedError, TaskError, WorkerLostError
from backend.ledger import Key, State
from backend.ledger.rows import key_of
from backend.log import line
from backend.queue import Drop, Rescue
from backend.queue.names import JUDGE, PUBLISH, REPUBLISH, place_in, row_id
from backend.wire import Failure, Order, Outcome, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.ledger import Ledger
    from backend.queue import DroppedJob, WorkQueue

logger = logging.getLogger(__name__)

BATCH = 10_000  # rows put back per run, so that a run stays short beside the publisher's own work


@dataclass(frozen=True, slots=True)
class Repairs:
    """What one run put right."""

    dropped: int = 0
    enqueued: int = 0
    republished: int = 0


class Reconciling:
    """Finds and repairs; every step may be repeated, and two publishers may do it at once."""

    def __init__(self, ledger: Ledger, queue: WorkQueue, rescue: Rescue | None = None) -> None:
        self._ledger = ledger
        self._queue = queue
        self._rescue = rescue or Rescue(queue)

    def run(self) -> Repairs:
        """One run.

        Raises:
            LedgerError: the ledger cannot be used.
            QueueError: Redis cannot be used.
        """
        dropped = self._settle_dropped()
        self._release_leases_of_the_dead()
        self._withdraw_paused()
        due = self._ledger.due()
        unpublished = self._ledger.unpublished(BATCH)
        live = self._rescue.live()
        self._withdraw_given_up(live.judging - {_row(key) for key in due})
        enqueued = self._enqueue_missing(_missing(due, live.judging | live.publishing))
        republish = _missing(unpublished, live.publishing)
        self._queue.republish((key.project, key.task, key.model_version) for key in republish)
        repairs = Repairs(dropped, enqueued, len(republish))
        if repairs != Repairs():
            logger.info(line("reconciled", **asdict(repairs)))
        return repairs

    def _release_leases_of_the_dead(self) -> None:
        for holder in self._ledger.holders() - self._queue.alive():
            count = self._ledger.release(holder)
            logger.warning(line("publisher died", name=holder, rows=count))

    def _withdraw_paused(self) -> None:
        """What came into the queue in the moment of a pause, or was handed back by a worker since."""
        paused = self._ledger.paused()
        if paused.everything or paused.projects:
            self._queue.withdraw_projects(None if paused.everything else paused.projects)

    def _withdraw_given_up(self, suspects: frozenset[str]) -> None:
        """What was cancelled while Redis was down, and came back with it; `suspects` are rows with a job, not due."""
        places = [place for row in suspects if (place := place_in(f"{JUDGE}-{row}"))]
        unwanted = [order for order in self._ledger.given_up(places) if _row(key_of(order)) in suspects]
        withdrawn = self._queue.withdraw(unwanted[:BATCH])
        if withdrawn:
            logger.info(line("withdrawn", jobs=withdrawn))

    def _enqueue_missing(self, suspects: list[Key]) -> int:
        if not suspects:
            return 0
        # Looked at twice, because a job that a worker hands back moves against the order of reading.
        live = self._rescue.live()
        orders = self._ledger.orders(_missing(suspects, live.judging | live.publishing)[:BATCH])
        self._queue.enqueue(orders)
        return len(orders)

    def _settle_dropped(self) -> int:
        count = 0
        for job in self._rescue.dropped():
            try:
                self._account_for(job)
            except (ValueError, TypeError, IndexError) as error:  # not a job of ours, or of another version
                logger.warning(line("job dropped", id=job.id, error=job.error, unreadable=error))
            self._rescue.settle(job)
            count += 1
        return count

    def _account_for(self, job: DroppedJob) -> None:
        """Put into the ledger what a dropped job means; its row is then due again, or failed."""
        logger.warning(line("job dropped", id=job.id, how=job.drop, error=job.error))
        if job.name == JUDGE and job.drop is not Drop.STUCK:
            order, error = from_json(Order, job.arguments[0]), _error(job)
            self._ledger.record(Outcome(order, failure=Failure(error.reason, str(error), error.retryable)))
        elif job.name == PUBLISH:
            outcome = from_json(Outcome, job.arguments[0])
            task = outcome.order.task
            if self._ledger.record(outcome) is State.JUDGED:
                self._publishing_failed(Key(task.project, task.task, outcome.order.model_version), job)
        elif job.name == REPUBLISH:
            project, task_id, model_version = job.arguments
            self._publishing_failed(Key(int(project), int(task_id), str(model_version)), job)

    def _publishing_failed(self, key: Key, job: DroppedJob) -> None:
        if job.drop is not Drop.STUCK:
            self._ledger.end_write_back(key, job.worker, _error(job))


def _row(key: Key) -> str:
    return row_id(key.project, key.task, key.model_version)


def _missing(keys: Iterable[Key], live: frozenset[str]) -> list[Key]:
    return [key for key in keys if _row(key) not in live]


def _error(job: DroppedJob) -> TaskError:
    if job.drop is Drop.CRASHED:
        return JobCrashedError(f"The job ended with an unexpected error: {job.error} The worker's log has the details.")
    return WorkerLostError("The worker died while it worked on this task; it was killed, out of memory, or hung.")
