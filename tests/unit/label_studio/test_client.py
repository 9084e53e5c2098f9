"""What the client makes of Label Studio's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import LabelStudioError, LabelStudioUnavailableError, SettingsError, TaskDeletedError
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.records import (
    NewPrediction,
    Project,
    TaskFilter,
    read,
    updated_since,
    without_prediction_of,
)
from tests.unit.label_studio.fake_label_studio import MOMENT, FakeLabelStudio

if TYPE_CHECKING:
    from tests.unit.label_studio.fake_label_studio import Answer
    from tests.unit.label_studio.servers import Served

TIE = ({"id": "ta", "from_name": "ta", "to_name": "video1", "type": "choices", "value": {"choices": ["Tie"]}},)


def prediction(task: int, model_version: str = "v1", score: float | None = 0.5) -> NewPrediction:
    return NewPrediction(task, model_version, TIE, score)


def stored(number: int, of: int, model_version: str = "v1", **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {"id": number, "created_at": MOMENT, **prediction(of, model_version).as_json()} | changes


@pytest.fixture
def fake() -> FakeLabelStudio:
    return FakeLabelStudio(tasks={number: {"data": {"prompt": f"p{number}"}} for number in range(1, 11)})


def test_lists_tasks_page_by_page(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.tasks = {number: {"data": {"prompt": str(number)}} for number in range(1, 1201)}
    assert [(task.id, task.data["prompt"]) for task in client.tasks(1)] == [(n, str(n)) for n in range(1, 1201)]
    assert fake.calls == ["GET /api/tasks"] * 3


@pytest.mark.parametrize("count", [0, 99, 100, 250])
def test_lists_every_task_where_label_studio_gives_smaller_pages_than_asked_for(
    client: LabelStudioClient, fake: FakeLabelStudio, count: int
) -> None:
    fake.largest_page = 100
    fake.tasks = {number: {} for number in range(1, count + 1)}
    fake.views = [{"id": 7, "project": 1, "tasks": list(fake.tasks)}]
    assert [task.id for task in client.tasks(1)] == list(fake.tasks)
    assert client.tasks_in_tab(1, 7) == list(fake.tasks)


def test_an_answer_that_is_no_list_of_tasks_is_refused(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.fail = lambda method, path: (200, {"status": "maintenance"})
    with pytest.raises(LabelStudioError, match="not a TaskPage"):
        list(client.annotated_tasks(1))


def test_holds_one_page_at_a_time(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.tasks = {number: {} for number in range(1, 1201)}
    next(client.tasks(1))
    assert fake.calls == ["GET /api/tasks"]


def test_misses_no_task_when_others_vanish_between_pages(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.tasks = {number: {} for number in range(1, 1201)}
    found = []
    for task in client.tasks(1):
        found.append(task.id)
        fake.tasks.pop(task.id, None)
    assert found == list(range(1, 1201))


def test_asks_for_many_ids_in_addresses_of_bearable_length(client: LabelStudioClient, served: Served) -> None:
    list(client.tasks(1, ids=range(1_000_000, 1_000_450)))
    assert len(served.requests) == 3
    assert max(len(asked.path) for asked in served.requests) < 4000


def test_no_ids_means_no_tasks_not_all_of_them(client: LabelStudioClient, served: Served) -> None:
    assert list(client.tasks(1, ids=[])) == []
    assert list(client.predictions(1, [], "v1")) == []
    client.retrieve_predictions(1, [])
    assert served.requests == []


def test_finds_one_task_without_opening_it(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    assert [task.data for task in client.tasks(1, ids=[7])] == [{"prompt": "p7"}]
    assert fake.calls == ["GET /api/tasks"]


def test_a_deleted_task_is_not_found(client: LabelStudioClient) -> None:
    assert list(client.tasks(1, ids=[99])) == []


def test_tells_predictions_of_a_version_from_others(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.predictions = [stored(3, 5), stored(1, 5), stored(2, 5, "v10"), stored(4, 6), stored(5, 7, "v2")]
    assert [each.id for each in client.predictions_of(5, "v1")] == [1, 3]
    listed = {task: [each.id for each in found] for task, found in client.predictions(1, [6, 5, 7, 5, 99], "v1")}
    assert listed == {5: [1, 3], 6: [4], 7: []}


def test_stores_a_prediction_and_reads_it_back(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    number = client.create_prediction(prediction(5, score=1 / 3))
    assert fake.predictions == [stored(number, 5, score=1 / 3)]
    assert fake.calls == ["POST /api/predictions/", f"GET /api/predictions/{number}/"]


@pytest.mark.parametrize("change", [{"result": []}, {"model_version": "v0"}, {"score": 0.4}, {"task": 6}])
def test_notices_that_something_else_was_stored(
    client: LabelStudioClient, fake: FakeLabelStudio, change: dict[str, Any]
) -> None:
    fake.fail = lambda method, path: (
        (200, stored(1, 5, **change)) if "GET /api/predictions/" in f"{method} {path}" else None
    )
    with pytest.raises(LabelStudioError, match="something else than was sent"):
        client.create_prediction(prediction(5))


def test_a_prediction_for_a_deleted_task_is_refused(client: LabelStudioClient) -> None:
    with pytest.raises(TaskDeletedError, match="Task 99"):
        client.create_prediction(prediction(99))


def test_sends_a_prediction_only_once_when_the_answer_is_lost(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.fail = lambda method, path: (502, None) if method == "POST" else None
    with pytest.raises(LabelStudioUnavailableError):
        client.create_prediction(prediction(5))
    assert fake.calls == ["POST /api/predictions/"]


def test_imports_many_predictions_at_once(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    imported = client.import_predictions(1, [prediction(task) for task in (3, 1, 2)])
    assert imported.refused == {}
    assert {each["task"]: each["id"] for each in fake.predictions} == imported.stored
    assert fake.calls.count("POST /api/projects/1/import/predictions") == 1


def test_importing_again_stores_nothing_twice(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    first = client.import_predictions(1, [prediction(1), prediction(2)])
    fake.predictions.append(stored(99, 3, "other"))
    again = client.import_predictions(1, [prediction(1), prediction(2), prediction(3)])
    assert {task: again.stored[task] for task in (1, 2)} == first.stored
    assert sorted(each["task"] for each in fake.predictions) == [1, 2, 3, 3]


def test_sends_one_by_one_what_the_bulk_endpoint_dropped(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.dropped = lambda each: each["task"] == 2
    imported = client.import_predictions(1, [prediction(1), prediction(2)])
    assert set(imported.stored) == {1, 2}
    assert fake.calls.count("POST /api/predictions/") == 1


def test_a_deleted_task_costs_the_others_nothing(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    imported = client.import_predictions(1, [prediction(1), prediction(99)])
    assert set(imported.stored) == {1}
    assert isinstance(imported.refused[99], TaskDeletedError)


def test_a_task_deleted_at_the_last_moment_costs_the_others_nothing(
    client: LabelStudioClient, fake: FakeLabelStudio
) -> None:
    def vanish(method: str, path: str) -> Answer | None:
        if path.endswith("/import/predictions"):
            fake.tasks.pop(2, None)
        return None

    fake.fail = vanish
    imported = client.import_predictions(1, [prediction(1), prediction(2), prediction(3)])
    assert set(imported.stored) == {1, 3}
    assert isinstance(imported.refused[2], TaskDeletedError)


def test_what_reads_back_differently_is_refused(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    def spoil(method: str, path: str) -> Answer | None:
        if not path.endswith("/import/predictions"):
            return None
        fake.predictions.append(stored(1, 1, score=0.1))
        return 201, {"created": 1}

    fake.fail = spoil
    imported = client.import_predictions(1, [prediction(1)])
    assert "something else" in str(imported.refused[1])


def test_a_prediction_of_others_may_be_anything(client: LabelStudioClient, fake: FakeLabelStudio) -> None:
    fake.predictions = [stored(7, 1, "other") | {"result": {}}, stored(8, 2, "other") | {"result": None}]
    assert set(client.import_predictions(1, [prediction(1), prediction(2)]).stored) == {1, 2}
    assert len(client.predictions_of(1, "v1")) == 1


@pytest.mark.parametrize("result", [None, {}, "x", [1]])
def test_an_annotation_without_a_list_of_results_has_none(
    client: LabelStudioClient, fake: FakeLabelStudio, result: object
) -> None:
    person = {"completed_by": 1, "parent_prediction": None, "was_cancelled": False, "lead_time": 1.0}
    told = {"id": 1, "task": 1, "result": result, "created_at": MOMENT, "updated_at": MOMENT, **person}
    fake.tasks = {1: {"updated_at": MOMENT, "total_annotations": 2}}
    fake.tasks[1]["annotations"] = [told, told | {"id": 2, "result": list(TIE)}]
    [task, *_] = client.annotated_tasks(1)
    assert [annotation.result for annotation in task.annotations] == [(), TIE]


@pytest.mark.parametrize("counted", [True, False])
def test_an_interrupted_import_may_be_called_again(
    client: LabelStudioClient, fake: FakeLabelStudio, counted: bool
) -> None:
    fake.counted = counted

    def lose_the_answer(method: str, path: str) -> Answer | None:
        if not path.endswith("/import/predictions"):
            return None
        fake.fail = lambda method, path: None
        fake.predictions += [stored(1, 1), stored(2, 2)]
        return 504, None

    fake.fail = lose_the_answer
    with pytest.raises(LabelStudioUnavailableError):
        client.import_predictions(1, [prediction(1), prediction(2)])
    assert client.import_predictions(1, [prediction(1), prediction(2)]).stored == {1: 1, 2: 2}
    assert len(fake.predictions) == 2


def test_importing_nothing_asks_nothing(client: LabelStudioClient, served: Served) -> None:
    assert client.import_predictions(1, []).stored == {}
    assert served.requests == []


@pytest.mark.parametrize("wrong", [[prediction(1), prediction(1)], [prediction(1), prediction(2, "v2")]])
def test_an_import_is_of_one_version_and_one_prediction_per_task(
    client: LabelStudioClient, wrong: list[NewPrediction]
) -> None:
    with pytest.raises(ValueError, match="one model version"):
        client.import_predictions(1, wrong)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://ls.example.com/data/a.mp4", True),
        ("http://LS.example.com:80/data/a.mp4", True),
        ("https://ls.example.com/data/a.mp4", False),
        ("http://ls.example.com:8080/data/a.mp4", False),
        ("http://evil.com/data/a.mp4", False),
        ("http://ls.example.com.evil.com/", False),
        ("http://ls.example.com@evil.com/", False),
        ("/data/a.mp4", False),
        ("http://[", False),
    ],
)
def test_gives_its_token_to_its_own_origin_only(url: str, own: bool) -> None:
    client = LabelStudioClient("http://ls.example.com", "legacy-token")
    assert client.authorization_for(url) == ({"Authorization": "Token legacy-token"} if own else {})


@pytest.mark.parametrize(
    "url", ["http://[", "", "ls.example.com", "ls.example.com:8080", "ftp://ls.example.com", "http://"]
)
def test_an_address_that_is_none_is_a_setting_to_mend(url: str) -> None:
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL"):
        LabelStudioClient(url, "key")


def test_moments_are_sent_in_the_one_form_that_is_understood() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert updated_since(moment).value == "2026-01-02T03:04:05.000000Z"
    assert updated_since(moment.astimezone(None)).value == "2026-01-02T03:04:05.000000Z"


def test_filters_become_conditions_of_the_data_manager() -> None:
    assert TaskFilter("id", "greater", "Number", 5).as_query() == {
        "filter": "filter:tasks:id",
        "operator": "greater",
        "type": "Number",
        "value": 5,
    }
    assert without_prediction_of("v1").as_query()["value"] == ["v1"]


def test_an_answer_of_another_shape_is_label_studios_error() -> None:
    with pytest.raises(LabelStudioError, match="not a Project"):
        read(Project, {"id": "five"})
