"""Annotations as Label Studio has them, whatever the webhooks told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

from backend.errors import LabelStudioError, LabelStudioUnavailableError
from backend.jobs.syncing import LEASE, PAUSE_AFTER_ERROR, Syncing
from backend.label_studio import records
from backend.ledger import Project, Sync
from tests.unit.jobs.desk import CONFIG, START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.jobs.desk import Desk


def answered(task: int, *ids: int, minute: int = 0) -> records.AnnotatedTask:
    moment = START + timedelta(minutes=minute)
    return records.AnnotatedTask(
        task,
        moment,
        tuple(records.Annotation(number, task, (), 2, None, False, 1.5, START, moment) for number in ids),
    )


@dataclass
class People:
    """A test double: tasks as Label Studio lists them, and what it was asked."""

    tasks: list[records.AnnotatedTask]
    error: LabelStudioError | None = None
    asked: list[datetime | None] = field(default_factory=list)

    def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[records.AnnotatedTask]:
        self.asked.append(since)
        if self.error is not None:
            raise self.error
        return iter(self.tasks)


def sync(desk: Desk, people: People) -> None:
    due = desk.ledger.begin_sync(LEASE)
    assert due is not None
    Syncing(desk.ledger, people).sync(due)


def test_a_sync_brings_new_annotations_and_notices_deleted_ones(desk: Desk) -> None:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    sync(desk, People([answered(1, 10, 11), answered(2, 20, minute=5)]))
    assert desk.ledger.annotation_ids(1) == {10, 11, 20}
    desk.now[0] += timedelta(hours=1)
    later = People([answered(1, 11, 12, minute=9)])
    sync(desk, later)
    assert later.asked == [START + timedelta(minutes=4)]
    assert desk.ledger.annotation_ids(1) == {11, 12, 20}


def test_a_full_sync_notices_tasks_that_lost_all_their_annotations(desk: Desk) -> None:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    Syncing(desk.ledger, People([answered(1, 10), answered(2, 20)])).sync(Sync(1, None))
    Syncing(desk.ledger, People([answered(2, 20)])).sync(Sync(1, None))
    assert desk.ledger.annotation_ids(1) == {20}


def test_a_sync_without_news_keeps_its_place(desk: Desk) -> None:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    sync(desk, People([answered(1, 10, minute=5)]))
    desk.now[0] += timedelta(hours=1)
    quiet = People([])
    sync(desk, quiet)
    desk.now[0] += timedelta(hours=1)
    sync(desk, quiet)
    assert quiet.asked == [START + timedelta(minutes=4)] * 2


def test_a_sync_that_label_studio_refuses_is_tried_again_later_from_the_same_place(desk: Desk) -> None:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    people = People([], LabelStudioUnavailableError("503"))
    sync(desk, people)
    assert desk.ledger.begin_sync(LEASE) is None
    desk.now[0] += PAUSE_AFTER_ERROR
    assert desk.ledger.begin_sync(LEASE) == Sync(1, None)


def test_syncing_goes_on_until_it_is_stopped(desk: Desk) -> None:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    stopped = Event()

    class Stopping(People):
        def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[records.AnnotatedTask]:
            stopped.set()
            return super().annotated_tasks(project, since)

    people = Stopping([answered(1, 10)])
    Syncing(desk.ledger, people).run_until(stopped, every_s=0.01)
    assert desk.ledger.annotation_ids(1) == {10}
