"""People's annotations, as Label Studio has them now: the truth that webhooks only hint at."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from backend.errors import LabelStudioError, VRThinkerError
from backend.ledger import Annotation
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from threading import Event

    from backend.label_studio import records
    from backend.ledger import Ledger, Sync

logger = logging.getLogger(__name__)

BATCH = 500  # tasks held in memory
LEASE = timedelta(minutes=10)  # a publisher that dies in the middle leaves the project to another one after this
OVERLAP = timedelta(minutes=1)  # a change is visible only once it is committed
SHORTEST_PAUSE = timedelta(minutes=1)  # webhooks tell most things at once
PAUSE_PER_TIME = 10  # so many times as long as a sync took: Label Studio has people to serve
PAUSE_AFTER_ERROR = timedelta(minutes=5)


class Annotations(Protocol):
    """Label Studio, as syncing needs it."""

    def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[records.AnnotatedTask]:
        """Tasks with their annotations; with `since` only those touched from then on.

        Raises:
            LabelStudioError: it cannot be had.
        """
        ...


class Syncing:
    """Keeps the ledger's annotations as Label Studio has them, one project after the other."""

    def __init__(self, ledger: Ledger, label_studio: Annotations) -> None:
        self._ledger = ledger
        self._label_studio = label_studio

    def run_until(self, stopped: Event, every_s: float) -> None:
        """Look for due projects again and again; what is down now may be up next time."""
        while not stopped.wait(every_s):
            try:
                while not stopped.is_set() and (sync := self._ledger.begin_sync(LEASE)):
                    self.sync(sync)
            except VRThinkerError as error:
                logger.warning(line("not synced", error=error))

    def sync(self, due: Sync) -> int:
        """Fetch what changed in a project since the last time; the answer is how many annotations were seen.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        started = time.monotonic()
        try:
            count, newest = self._fetch(due)
        except LabelStudioError as error:
            logger.warning(line("not synced", project=due.project, reason=error.reason, message=error))
            self._ledger.end_sync(due.project, due.since, PAUSE_AFTER_ERROR)
            return 0
        seconds = time.monotonic() - started
        pause = max(SHORTEST_PAUSE, timedelta(seconds=PAUSE_PER_TIME * seconds))
        self._ledger.end_sync(due.project, newest and newest - OVERLAP, pause)
        logger.info(line("synced", project=due.project, annotations=count, seconds=seconds))
        return count

    def _fetch(self, due: Sync) -> tuple[int, datetime | None]:
        """How many annotations there were, and the newest change of all."""
        newest = due.since and due.since + OVERLAP
        seen: set[int] = set()
        tasks = self._label_studio.annotated_tasks(due.project, due.since)
        while batch := list(islice(tasks, BATCH)):
            found = {annotation.id for task in batch for annotation in task.annotations}
            self._ledger.remember_annotation(*(_kept(due.project, one) for task in batch for one in task.annotations))
            known = self._ledger.annotation_ids(due.project, [task.id for task in batch])
            self._ledger.mark_annotations_deleted(sorted(known - found))
            seen |= found
            newest = max([task.updated_at for task in batch] + ([newest] if newest else []))
        if due.since is None:  # everything was listed, so what was not listed is gone
            self._ledger.mark_annotations_deleted(sorted(self._ledger.annotation_ids(due.project) - seen))
        return len(seen), newest


def _kept(project: int, told: records.Annotation) -> Annotation:
    return Annotation(
        id=told.id,
        project=project,
        task=told.task,
        completed_by=told.completed_by,
        result=told.result,
        parent_prediction=told.parent_prediction,
        was_cancelled=told.was_cancelled,
        lead_time=told.lead_time,
        created_at=told.created_at,
        updated_at=told.updated_at,
        origin="sync",
    )
