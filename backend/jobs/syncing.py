"""People's annotations, as Label Studio has them now: the truth that webhooks only hint at."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from backend.errors import LabelStudioError
from backend.jobs.looking import look_until
from backend.ledger import Annotation, Project, Sync
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from threading import Event

    from backend.label_studio import records
    from backend.ledger import Ledger

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


@dataclass(frozen=True, slots=True)
class Synced:
    """What one sync brought: how many annotations were seen, and how many turned out to be gone."""

    project: int
    annotations: int
    deleted: int
    seconds: float


class Syncing:
    """Keeps the ledger's annotations as Label Studio has them, one project after the other."""

    def __init__(self, ledger: Ledger, label_studio: Annotations) -> None:
        self._ledger = ledger
        self._label_studio = label_studio

    def run_until(self, stopped: Event, every_s: float) -> None:
        """Sync the due projects, and look for others `every_s` seconds later."""

        def look() -> None:
            while not stopped.is_set() and (due := self._ledger.begin_sync(LEASE)):
                self.sync(due)

        look_until(stopped, every_s, look, "not synced")

    def sync(self, due: Sync) -> int:
        """Fetch what changed in a project since the last time; the answer is how many annotations were seen.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        try:
            synced = self._fetch(due)
        except LabelStudioError as error:
            logger.warning(line("not synced", project=due.project, reason=error.reason, message=error))
            self._ledger.end_sync(due.project, due.since, PAUSE_AFTER_ERROR)
            return 0
        logger.info(line("synced", project=due.project, annotations=synced.annotations, seconds=synced.seconds))
        return synced.annotations

    def fetch_all(self, project: records.Project, tell: Callable[[int], None] = lambda _count: None) -> Synced:
        """Fetch every annotation of a project now, also one that the ledger did not know; `tell` hears how many yet.

        Raises:
            LabelStudioError: they cannot be had; those that came before are kept.
            LedgerError: the ledger cannot be used.
        """
        self._ledger.remember_project(Project(project.id, project.title, project.label_config))
        return self._fetch(Sync(project.id, None), tell)

    def _fetch(self, due: Sync, tell: Callable[[int], None] = lambda _count: None) -> Synced:
        started = time.monotonic()
        before = self._ledger.annotation_ids(due.project)  # what comes by webhook meanwhile is new, not gone
        newest = due.since and due.since + OVERLAP
        seen: set[int] = set()
        deleted = 0
        tasks = self._label_studio.annotated_tasks(due.project, due.since)
        while batch := list(islice(tasks, BATCH)):
            found = {annotation.id for task in batch for annotation in task.annotations}
            self._ledger.remember_annotation(*(_kept(due.project, one) for task in batch for one in task.annotations))
            known = self._ledger.annotation_ids(due.project, [task.id for task in batch])
            deleted += self._ledger.mark_annotations_deleted(sorted((known & before) - found))
            seen |= found
            newest = max([task.updated_at for task in batch] + ([newest] if newest else []))
            self._ledger.renew_sync(due.project, LEASE)
            tell(len(seen))
        if due.since is None:  # everything was listed, so what was not listed is gone
            deleted += self._ledger.mark_annotations_deleted(sorted(before - seen))
        seconds = time.monotonic() - started
        pause = max(SHORTEST_PAUSE, timedelta(seconds=PAUSE_PER_TIME * seconds))
        self._ledger.end_sync(due.project, _next_start(due, newest, seconds), pause)
        return Synced(due.project, len(seen), deleted, seconds)


def _next_start(due: Sync, newest: datetime | None, seconds: float) -> datetime | None:
    """Where the next sync begins: by Label Studio's clock, and before this one began to list.

    A task that was listed first and changed a moment later is older than the newest that was listed last.
    """
    if newest is None:
        return None
    start = newest - OVERLAP - timedelta(seconds=int(seconds))
    return max(start, due.since) if due.since else start


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
