"""Whatever Label Studio sends ends in the ledger: queued once, failed with a reason, or kept as a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.errors import LabelConfigError, LabelStudioError, LedgerError
from backend.intake import Accepted, LedgerIntake
from backend.label_studio.plugin import MAX_ID
from backend.ledger import Key, Project, State
from backend.wire import Outcome
from tests.unit.label_studio.judgements import judged
from tests.unit.requests import CONFIG, FakeQueue, payload, task

if TYPE_CHECKING:
    from backend.ledger import Ledger

VERSION = "tiny-1"


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def seen() -> list[Accepted]:
    return []


@pytest.fixture
def intake(ledger: Ledger, queue: FakeQueue, seen: list[Accepted]) -> LedgerIntake:
    return LedgerIntake(ledger, queue, VERSION, seen.append)


def test_new_tasks_are_queued_in_their_order_and_answered_with_nothing_yet(
    intake: LedgerIntake, queue: FakeQueue, seen: list[Accepted]
) -> None:
    assert intake.accept(7, CONFIG, [task(2), task(1), task(3)]) == [[], [], []]
    assert queue.waiting == [2, 1, 3]
    assert seen == [Accepted(new=3)]


def test_what_was_published_and_is_shown_without_its_prediction_is_published_again(
    intake: LedgerIntake, ledger: Ledger, queue: FakeQueue, seen: list[Accepted]
) -> None:
    intake.accept(7, CONFIG, [task(number) for number in (1, 2, 3)])
    for order in ledger.orders([Key(7, 1, VERSION), Key(7, 2, VERSION)]):
        ledger.record(Outcome(order, judged()))
    ledger.mark_all_published({Key(7, 1, VERSION): 71, Key(7, 2, VERSION): 72})
    with_prediction = task(1) | {"predictions": [{"id": 71, "model_version": VERSION}]}
    with_another = task(2) | {"predictions": [{"id": 70, "model_version": "older"}, "nonsense"]}
    intake.accept(7, CONFIG, [with_prediction, with_another, task(3), {"id": [1], "predictions": [{}]}])
    assert seen[-1].published_again == 1
    assert ledger.unpublished() == [Key(7, 2, VERSION)]
    assert queue.waiting == [1, 2, 3]


def test_tasks_asked_for_again_are_queued_once(intake: LedgerIntake, queue: FakeQueue, seen: list[Accepted]) -> None:
    intake.accept(7, CONFIG, [task(1), task(2)])
    intake.accept(7, CONFIG, [task(1), task(2), task(3), task(3)])
    assert queue.waiting == [1, 2, 3]
    assert seen[-1] == Accepted(new=1, known=3)


def test_the_same_task_of_two_projects_is_two_tasks(intake: LedgerIntake, ledger: Ledger) -> None:
    intake.accept(7, CONFIG, [task(1)])
    intake.accept(8, CONFIG, [task(1)])
    assert ledger.counts(7)[State.QUEUED] == ledger.counts(8)[State.QUEUED] == 1


@pytest.mark.parametrize(
    ("tasks", "context"),
    [([task(9)], None), ([task(9)], {"result": []}), ([task(9), task(8)], {"result": []})],
    ids=["a task that was opened", "an interactive request", "an interactive request for two"],
)
def test_what_a_person_waits_for_goes_first(
    intake: LedgerIntake, queue: FakeQueue, tasks: list[object], context: object
) -> None:
    intake.accept(7, CONFIG, [task(1), task(2)])
    intake.accept(7, CONFIG, tasks, context=context)
    assert queue.waiting[0] == 9
    assert queue.waiting[-2:] == [1, 2]


@pytest.mark.parametrize("context", [None, {}], ids=["our own server", "label-studio-ml 2.x, which fills in a blank"])
def test_a_selection_of_tasks_waits_in_line(intake: LedgerIntake, queue: FakeQueue, context: object) -> None:
    intake.accept(7, CONFIG, [task(1), task(2)])
    intake.accept(7, CONFIG, [task(3), task(4)], context=context)
    assert queue.waiting == [1, 2, 3, 4]


def test_with_priority_the_new_tasks_alone_go_first_and_in_their_order(
    intake: LedgerIntake, queue: FakeQueue, ledger: Ledger
) -> None:
    intake.take(7, CONFIG, [task(1), task(2), task(3)], opened=False)
    intake.take(7, CONFIG, [task(2), task(4), task(3), task(5)], opened=False, first=True)
    assert queue.waiting == [4, 5, 1, 2, 3]
    ledger.pause(7)
    intake.take(7, CONFIG, [task(2), task(6)], opened=False, first=True)
    assert ledger.due() == []
    ledger.resume(7)
    assert ledger.due() == [Key(7, 6, VERSION)]


def test_a_task_that_waits_already_goes_first_when_it_is_opened(intake: LedgerIntake, queue: FakeQueue) -> None:
    intake.accept(7, CONFIG, [task(1), task(2), task(3)])
    intake.accept(7, CONFIG, [task(3)])
    assert queue.waiting == [3, 1, 2]


def test_a_task_that_is_done_is_not_queued_again_when_it_is_opened(intake: LedgerIntake, queue: FakeQueue) -> None:
    intake.accept(7, CONFIG, [task(1), task(2)])
    queue.places.remove((7, 1))
    intake.accept(7, CONFIG, [task(1)])
    assert queue.waiting == [2]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (task(5, prompt=None), "no 'prompt'"),
        (task(5, prompt="  "), "'prompt' is empty"),
        (task(5, video2=7), "'video2' must be text"),
        ({"id": 5, "data": None}, "no data"),
        ({"id": 5}, "no data"),
        (task(5, prompt="half a smile \ud83d"), "broken Unicode"),
        (task(5, video1="/a\0.mp4"), "a NUL"),
        ({"id": 5, "data": {"\ud83d\0": 1}}, "no 'video1'"),
    ],
)
def test_a_task_without_usable_data_is_recorded_as_failed_and_stops_no_other(
    intake: LedgerIntake, ledger: Ledger, queue: FakeQueue, seen: list[Accepted], bad: object, message: str
) -> None:
    assert intake.accept(7, CONFIG, [task(4), bad, task(6)]) == [[], [], []]
    assert queue.waiting == [4, 6]
    entry = ledger.entry(Key(7, 5, VERSION))
    assert entry is not None
    assert (entry.state, entry.reason) == (State.FAILED, "task_data")
    assert message in entry.message
    assert seen == [Accepted(new=2, rejected={"task_data": 1})]


def test_a_failed_task_whose_data_was_corrected_is_queued(intake: LedgerIntake, queue: FakeQueue) -> None:
    intake.accept(7, CONFIG, [task(5, prompt=""), task(6)])
    intake.accept(7, CONFIG, [task(5), task(6)])
    assert queue.waiting == [6, 5]


@pytest.mark.parametrize(
    "nowhere", [None, 5, "task", [], {}, task("5"), task(5.0), task(True), task(0), task(-5), task(MAX_ID + 1)]
)
def test_a_task_without_a_usable_id_is_counted_and_stops_no_other(
    intake: LedgerIntake, queue: FakeQueue, seen: list[Accepted], nowhere: object
) -> None:
    assert intake.accept(7, CONFIG, [nowhere, task(6)]) == [[], []]
    assert queue.waiting == [6]
    assert seen == [Accepted(new=1, rejected={"no_id": 1})]


def test_a_task_names_its_project_where_the_host_does_not(intake: LedgerIntake, ledger: Ledger) -> None:
    intake.accept(None, CONFIG, [task(1)])
    assert ledger.entry(Key(7, 1, VERSION)) is not None


def test_while_redis_is_down_the_ledger_keeps_the_work(
    intake: LedgerIntake, ledger: Ledger, queue: FakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.broken = True
    assert intake.accept(7, CONFIG, [task(1), task(2)]) == [[], []]
    assert ledger.counts(7)[State.QUEUED] == 2
    assert "queued in the ledger only" in caplog.text


def test_without_a_ledger_nothing_is_queued(intake: LedgerIntake, ledger: Ledger, queue: FakeQueue) -> None:
    with ledger._write() as db:
        db.exec_driver_sql("DROP TABLE work")
    with pytest.raises(LedgerError):
        intake.accept(7, CONFIG, [task(1)])
    assert queue.waiting == []


def test_a_config_without_the_four_dimensions_is_refused_and_nothing_is_recorded(
    intake: LedgerIntake, ledger: Ledger
) -> None:
    config = CONFIG.replace('name="vq"', 'name="colour"')
    with pytest.raises(LabelConfigError, match="VQ"):
        intake.accept(7, config, [task(1)])
    with pytest.raises(LabelConfigError, match="VQ"):
        intake.setup(7, config)
    assert ledger.versions() == []
    assert ledger.projects() == []


def test_the_config_of_a_project_is_remembered_with_the_title_that_is_known(
    intake: LedgerIntake, ledger: Ledger
) -> None:
    intake.setup(7, CONFIG)
    assert ledger.project(7) == Project(7, "", CONFIG)
    intake.hear("TASKS_CREATED", {"project": {"id": 7, "title": "Pandas", "label_config": CONFIG}})
    changed = CONFIG.replace("<View>", '<View className="wide">')
    intake.setup(7, changed)
    assert ledger.project(7) == Project(7, "Pandas", changed)


def test_a_webhook_tells_of_an_annotation_and_its_project(intake: LedgerIntake, ledger: Ledger) -> None:
    intake.hear("ANNOTATION_CREATED", payload("webhook_annotation_created"))
    [annotation] = ledger.annotations(1)
    assert (annotation.id, annotation.task, annotation.completed_by) == (1, 1, 1)
    assert (annotation.parent_prediction, annotation.was_cancelled, annotation.origin) == (16, False, "webhook")
    assert annotation.result[0]["value"] == {"choices": ["Video 1"]}
    assert ledger.project(1) == Project(1, "Pairwise video preference", CONFIG)


def test_an_older_hint_that_comes_late_changes_nothing(intake: LedgerIntake, ledger: Ledger) -> None:
    intake.hear("ANNOTATION_UPDATED", payload("webhook_annotation_updated"))
    intake.hear("ANNOTATION_CREATED", payload("webhook_annotation_created"))
    [annotation] = ledger.annotations(1)
    assert annotation.lead_time == payload("webhook_annotation_updated")["annotation"]["lead_time"]


def test_a_webhook_tells_of_several_annotations_at_once(intake: LedgerIntake, ledger: Ledger) -> None:
    body = payload("webhook_annotation_created")
    several = [{**body["annotation"], "id": number, "task": number} for number in (1, 2, 3)]
    intake.hear("ANNOTATIONS_CREATED", {**body, "annotation": several})
    assert ledger.annotation_ids(1) == {1, 2, 3}


def test_a_webhook_tells_of_deleted_annotations(intake: LedgerIntake, ledger: Ledger) -> None:
    body = payload("webhook_annotation_created")
    intake.hear("ANNOTATION_CREATED", {**body, "annotation": {**body["annotation"], "id": 8}})
    intake.hear("ANNOTATIONS_DELETED", payload("webhook_annotations_deleted"))
    assert ledger.annotation_ids(1) == set()


def test_tasks_that_are_created_are_not_judged_before_they_are_asked_for(
    intake: LedgerIntake, ledger: Ledger, queue: FakeQueue
) -> None:
    intake.hear("TASKS_CREATED", payload("webhook_tasks_created"))
    assert queue.waiting == []
    assert ledger.versions() == []


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("ANNOTATION_CREATED", {}),
        ("ANNOTATION_CREATED", {"project": 7}),
        ("ANNOTATION_CREATED", {"project": {"id": "seven"}}),
        ("ANNOTATION_CREATED", {"project": {"id": 7}, "annotation": None}),
        ("ANNOTATION_CREATED", {"project": {"id": 7}, "annotation": {"id": "one"}}),
        ("ANNOTATIONS_CREATED", {"project": {"id": 7}, "annotation": [1]}),
    ],
)
def test_a_webhook_that_label_studio_never_sends_is_refused_as_such(
    intake: LedgerIntake, ledger: Ledger, event: str, data: dict[str, object]
) -> None:
    with pytest.raises(LabelStudioError):
        intake.hear(event, data)
    assert ledger.annotation_ids(7) == set()


def test_ids_that_no_annotation_has_are_passed_over(intake: LedgerIntake, ledger: Ledger) -> None:
    body = payload("webhook_annotation_created")
    several = [{**body["annotation"], "id": number, "task": number} for number in (1, 8, 9)]
    intake.hear("ANNOTATIONS_CREATED", {**body, "annotation": several})
    intake.hear("ANNOTATIONS_DELETED", {"project": {"id": 1}, "annotations": 8})
    assert ledger.annotation_ids(1) == {1, 8, 9}
    gone = [None, 9, {"id": None}, {"id": True}, {"id": -1}, {"id": 2**70}, {"id": 8}]
    intake.hear("ANNOTATIONS_DELETED", {"project": {"id": 1}, "annotations": gone})
    assert ledger.annotation_ids(1) == {1, 9}
