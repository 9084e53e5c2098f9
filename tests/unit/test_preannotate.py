"""A whole project is taken in batch by batch, once, however often it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import (
    LabelConfigError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    MediaError,
    NoMatchError,
    TaskDataError,
)
from backend.label_studio.selection import parse_selection
from backend.ledger import Key, Ledger, Project, State
from backend.preannotate import Taken, standing, standings, take_in
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Verdict
from backend.wire import Failure, Order, Outcome
from tests.unit.label_studio.fake_label_studio import FakeLabelStudio
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from backend.label_studio.client import LabelStudioClient
    from backend.queue import WorkQueue
    from tests.unit.label_studio.fake_label_studio import Answer
    from tests.unit.label_studio.servers import Served

VERSION = "tiny-1"
LAST = {"id": 1, "title": "Pairs", "label_config": CONFIG}


def data(number: int, **changes: str) -> dict[str, Any]:
    return {"data": {"video1": f"/a{number}.mp4", "video2": f"/b{number}.mp4", "prompt": "a red panda", **changes}}


@pytest.fixture
def fake() -> FakeLabelStudio:
    fake = FakeLabelStudio(tasks={number: data(number) for number in range(1, 1201)})
    fake.project |= LAST
    return fake


@pytest.fixture
def queue(redis_queue: WorkQueue) -> WorkQueue:
    return redis_queue


def taken(
    client: LabelStudioClient, ledger: Ledger, queue: WorkQueue, limit: int | None = None, *, priority: bool = False
) -> list[Taken]:
    return list(take_in(client, ledger, queue, VERSION, 1, limit=limit, priority=priority))


def waiting(queue: WorkQueue) -> list[int]:
    return [int(name.split("-")[2]) for name in queue.judging(VERSION).get_job_ids()]


def failed(task: int, error: type[MediaError | TaskDataError] = MediaError) -> Outcome:
    order = Order(PairwiseTask(1, task, f"/a{task}.mp4", f"/b{task}.mp4", "a red panda"), VERSION)
    return Outcome(order, failure=Failure(error.reason, "it answers 404", False))


def judged(task: int) -> Outcome:
    verdicts = {dimension: Verdict(Preference.VIDEO_1) for dimension in Dimension}
    judgement = Judgement(VERSION, verdicts, "", StopCondition.ANSWERED, False, (), (), ())
    return Outcome(failed(task).order, judgement)


def test_a_project_is_taken_in_page_by_page_in_the_order_of_its_tasks(
    client: LabelStudioClient, ledger: Ledger, queue: WorkQueue
) -> None:
    assert [total.new for total in taken(client, ledger, queue)] == [500, 1000, 1200]
    assert waiting(queue) == list(range(1, 1201))
    assert standing(ledger, 1, VERSION).states[State.QUEUED] == 1200
    assert ledger.project(1) == Project(1, "Pairs", CONFIG)


def test_asking_three_times_queues_each_task_once(client: LabelStudioClient, ledger: Ledger, queue: WorkQueue) -> None:
    totals = [taken(client, ledger, queue)[-1] for _ in range(3)]
    assert totals == [Taken(new=1200), Taken(known=1200), Taken(known=1200)]
    assert len(waiting(queue)) == 1200


def test_a_prediction_that_someone_deleted_is_published_again_and_its_pair_not_judged_again(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.tasks = {number: data(number) for number in (1, 2, 3)}
    taken(client, ledger, queue)
    ledger.record(judged(1))
    ledger.mark_all_published({Key(1, 1, VERSION): 77})
    assert taken(client, ledger, queue)[-1] == Taken(known=3, published_again=1)
    assert ledger.unpublished() == [Key(1, 1, VERSION)]
    assert waiting(queue) == [1, 2, 3], "the ones that waited before"
    [entry] = [ledger.entry(Key(1, 1, VERSION))]
    assert entry is not None
    assert entry.prediction_id == 77, "it tells what older answers were given in sight of"


def test_an_interrupted_run_goes_on_where_it_stopped(
    client: LabelStudioClient, ledger: Ledger, queue: WorkQueue
) -> None:
    assert next(take_in(client, ledger, queue, VERSION, 1)).new == 500
    assert taken(client, ledger, queue)[-1] == Taken(new=700, known=500)
    assert waiting(queue) == list(range(1, 1201))


def test_a_limit_counts_new_tasks(client: LabelStudioClient, ledger: Ledger, queue: WorkQueue) -> None:
    assert taken(client, ledger, queue, 3)[-1] == Taken(new=3)
    assert taken(client, ledger, queue, 2)[-1] == Taken(new=2, known=3)
    assert waiting(queue) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("priority", "order"), [(False, [1, 2]), (True, [2, 1])])
def test_priority_goes_before_what_waits_and_one_task_alone_does_not(
    client: LabelStudioClient, ledger: Ledger, queue: WorkQueue, priority: bool, order: list[int]
) -> None:
    taken(client, ledger, queue, 1)
    taken(client, ledger, queue, 1, priority=priority)
    assert waiting(queue) == order


def test_label_studio_is_asked_only_for_tasks_without_a_prediction_of_this_version(
    served: Served, client: LabelStudioClient, ledger: Ledger, queue: WorkQueue
) -> None:
    taken(client, ledger, queue, 1)
    listed = next(asked.path for asked in served.requests if asked.path.startswith("/api/tasks"))
    assert "predictions_model_versions" in listed
    assert VERSION in listed


def test_tasks_without_usable_data_are_counted_and_recorded_and_not_queued(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.tasks = {1: data(1), 2: data(2, prompt=" "), 3: {"data": {}}}
    [total] = taken(client, ledger, queue)
    assert total == Taken(new=1, rejected={"task_data": 2})
    assert total.seen == 3
    assert waiting(queue) == [1]
    assert standing(ledger, 1, VERSION).failures[0].tasks == [2, 3]


def test_a_project_without_tasks_yields_nothing(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.tasks = {}
    assert taken(client, ledger, queue) == []


def test_a_config_without_the_choices_is_refused_before_anything_is_queued(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.project["label_config"] = "<View/>"
    with pytest.raises(LabelConfigError):
        taken(client, ledger, queue)
    assert waiting(queue) == []
    assert ledger.project(1) is None


def test_what_was_taken_in_stays_when_the_token_ends_midway(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    def ended(_method: str, path: str) -> Answer | None:
        pages = fake.calls.count("GET /api/tasks")
        return (401, {"detail": "Invalid token."}) if path == "/api/tasks" and pages > 1 else None

    fake.fail = ended
    with pytest.raises(LabelStudioUnauthorizedError):
        taken(client, ledger, queue)
    assert len(waiting(queue)) == 500


def test_a_standing_counts_states_and_tells_when_all_is_settled(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.tasks = {1: data(1), 2: data(2)}
    taken(client, ledger, queue)
    before = standing(ledger, 1, VERSION)
    assert (before.settled, before.to_go_s, before.title) == (False, None, "Pairs")
    ledger.record(judged(1))
    midway = standing(ledger, 1, VERSION)
    assert midway.to_go_s == pytest.approx(1 / midway.rate)
    ledger.record(failed(2))
    assert not standing(ledger, 1, VERSION).settled, "the judgement is not in Label Studio yet"
    ledger.skip(1, [1], "gone", "deleted")
    assert standing(ledger, 1, VERSION).settled


def test_judgements_of_the_blind_slice_are_not_waited_for(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/blind.db", blind_share=1.0)
    ledger.record(judged(1))
    now = standing(ledger, 1, VERSION)
    assert (now.blind, now.settled) == (1, True)
    ledger.close()


def test_each_version_of_each_project_has_its_standing(ledger: Ledger) -> None:
    ledger.enter([failed(1).order.task], VERSION)
    ledger.enter([failed(1).order.task], "tiny-2")
    assert [(one.project, one.model_version) for one in standings(ledger)] == [(1, VERSION), (1, "tiny-2")]
    assert standings(ledger, 2) == []


def chosen(client: LabelStudioClient, ledger: Ledger, queue: WorkQueue, *conditions: str) -> list[int]:
    list(take_in(client, ledger, queue, VERSION, 1, selection=parse_selection(conditions)))
    return waiting(queue)


@pytest.mark.parametrize(
    ("conditions", "tasks"),
    [
        (("id=3,5",), [3, 5]),
        (("id=1198-2000",), [1198, 1199, 1200]),
        (("id=1-3,7", "id=2-9"), [2, 3, 7]),
        (("prompt=a cat",), [2]),
        (("prompt~cat", "id=1-2"), [2]),
        (("prompt!=a cat", "id=1-3"), [1, 3]),
        (("annotated=yes",), [4]),
        (("tab=9",), [6, 7]),
        (("tab=9", "id=7-8"), [7]),
    ],
)
def test_a_filter_queues_just_what_it_matches(
    client: LabelStudioClient,
    fake: FakeLabelStudio,
    ledger: Ledger,
    queue: WorkQueue,
    conditions: tuple[str, ...],
    tasks: list[int],
) -> None:
    fake.tasks[2] = data(2, prompt="a cat")
    fake.tasks[4]["total_annotations"] = 1
    fake.views = [{"id": 9, "project": 1, "tasks": [6, 7]}]
    assert chosen(client, ledger, queue, *conditions) == tasks


def test_a_filter_that_matches_nothing_says_so_and_names_the_fields(
    client: LabelStudioClient, ledger: Ledger, queue: WorkQueue
) -> None:
    with pytest.raises(NoMatchError, match=r"No task of project 1 .* fields prompt, video1, video2"):
        chosen(client, ledger, queue, "colour=red")


def test_a_filter_whose_tasks_all_have_predictions_is_no_mistake(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.predictions = [{"id": 1, "task": 3, "model_version": VERSION}]
    assert chosen(client, ledger, queue, "id=3") == []


@pytest.mark.parametrize(("tab", "project"), [(8, 1), (9, 2)])
def test_a_tab_that_the_project_does_not_have_is_refused(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue, tab: int, project: int
) -> None:
    fake.views = [{"id": 9, "project": project, "tasks": [6]}]
    with pytest.raises(LabelStudioNotFoundError, match=f"[Tt]ab {tab}"):
        chosen(client, ledger, queue, f"tab={tab}")


def test_tasks_of_an_earlier_model_version_do_not_count_as_done(
    client: LabelStudioClient, fake: FakeLabelStudio, ledger: Ledger, queue: WorkQueue
) -> None:
    fake.tasks = {1: data(1), 2: data(2)}
    list(take_in(client, ledger, queue, "tiny-0", 1, limit=1))
    assert taken(client, ledger, queue)[-1] == Taken(new=2)
    assert [(one.model_version, one.states[State.QUEUED]) for one in standings(ledger)] == [("tiny-0", 1), (VERSION, 2)]
