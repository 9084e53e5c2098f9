"""Annotations as Label Studio has them, whatever the webhooks told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

import pytest

from backend.errors import LabelStudioError, LabelStudioUnavailableError
from backend.jobs import syncing
from backend.jobs.syncing import LEASE, PAUSE_AFTER_ERROR, Syncing, _kept, _next_start
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


class SlowPeople(People):
    """The same, each task listed minutes after the one before; `begun` are the syncs that others began meanwhile."""

    def __init__(self, tasks: list[records.AnnotatedTask], desk: Desk) -> None:
        super().__init__(tasks)
        self._desk = desk
        self.begun: list[Sync | None] = []

    def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[records.AnnotatedTask]:
        for task in self.tasks:
            self._desk.now[0] += LEASE * 0.6
            self.begun.append(self._desk.ledger.begin_sync(LEASE))
            yield task


def test_a_sync_that_takes_longer_than_its_lease_stays_with_the_one_who_began_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "BATCH", 1)
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))
    slow = SlowPeople([answered(task, task * 10) for task in (1, 2, 3)], desk)
    sync(desk, slow)
    assert slow.begun == [None] * 3
    assert desk.ledger.annotation_ids(1) == {10, 20, 30}


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


def test_what_comes_by_webhook_while_all_is_listed_is_not_taken_for_deleted(desk: Desk) -> None:
    desk.ledger.remember_project(Project(1, "Dogs", CONFIG))

    class Busy(People):
        def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[records.AnnotatedTask]:
            yield from self.tasks
            desk.ledger.remember_annotation(*(_kept(1, one) for one in answered(1, 11).annotations))

    Syncing(desk.ledger, Busy([answered(1, 10), answered(2, 20)])).sync(Sync(1, None))
    assert desk.ledger.annotation_ids(1) == {10, 11, 20}


@pytest.mark.parametrize(
    ("since", "seconds", "start"),
    [(None, 0.4, 8), (None, 300.0, 3), (7, 0.4, 8), (7, 300.0, 7)],
)
def test_the_next_sync_begins_before_this_one_began_to_list(since: int | None, seconds: float, start: int) -> None:
    due = Sync(1, None if since is None else START + timedelta(minutes=since))
    assert _next_start(due, START + timedelta(minutes=9), seconds) == START + timedelta(minutes=start)


def test_fetching_all_takes_up_the_project_and_tells_how_far_it_is(desk: Desk) -> None:
    told: list[int] = []
    people = People([answered(task, task * 10) for task in range(1, 702)])
    synced = Syncing(desk.ledger, people).fetch_all(records.Project(1, "Dogs", CONFIG), told.append)
    assert told == [500, 701]
    assert (synced.project, synced.annotations, synced.deleted) == (1, 701, 0)
    assert desk.ledger.project(1) == Project(1, "Dogs", CONFIG)
    assert Syncing(desk.ledger, People([])).fetch_all(records.Project(1, "Dogs", CONFIG)).deleted == 701


def test_fetching_all_says_what_label_studio_refuses(desk: Desk) -> None:
    people = People([], LabelStudioUnavailableError("503"))
    with pytest.raises(LabelStudioUnavailableError):
        Syncing(desk.ledger, people).fetch_all(records.Project(1, "Dogs", CONFIG))


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
