"""The client and the connecting of projects against a real Label Studio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import LabelStudioError, LabelStudioNotFoundError, LabelStudioUnauthorizedError
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.project import Target, connect
from backend.label_studio.records import NewPrediction, without_prediction_of
from backend.label_studio.webhook import HINTS, SECRET_HEADER
from tests.unit.label_studio.servers import Exchange, Served, serving

if TYPE_CHECKING:
    from backend.label_studio.records import AnnotatedTask
    from tests.e2e.conftest import LabelStudioHandle

pytestmark = pytest.mark.e2e

CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <Video name="video1" value="$video1"/>
  <Choices name="ta" toName="video1" choice="single-radio"><Choice value="Video 1"/><Choice value="Tie"/></Choices>
  <TextArea name="why" toName="video1"/>
</View>
"""
VERSION = "tiny-1234.vrthinker-128v1.transformers.abcdef"
TIE = (
    {"id": "ta", "from_name": "ta", "to_name": "video1", "type": "choices", "value": {"choices": ["Tie"]}},
    {
        "id": "why",
        "from_name": "why",
        "to_name": "video1",
        "type": "textarea",
        "readonly": True,
        "value": {"text": ["“Ünïcode” <b>&amp;</b> 🎬"]},
    },
)


def prediction(task: int, score: float | None = 1 / 3) -> NewPrediction:
    return NewPrediction(task, VERSION, TIE, score)


@pytest.fixture(params=["personal access token", "legacy token"])
def client(label_studio: LabelStudioHandle, request: pytest.FixtureRequest) -> Iterator[LabelStudioClient]:
    personal = request.param == "personal access token"
    key = label_studio.personal_access_token if personal else label_studio.legacy_token
    client = LabelStudioClient(label_studio.url, key)
    yield client
    client.close()


@pytest.fixture
def project(client: LabelStudioClient) -> int:
    return client.administration.create_project({"title": "End to end", "label_config": CONFIG})


@pytest.fixture
def tasks(client: LabelStudioClient, project: int) -> tuple[int, ...]:
    data = [{"video1": "s3://bucket/a.mp4", "prompt": f"prompt {number}"} for number in range(5)]
    return client.administration.import_tasks(project, [{"data": each} for each in data])


@pytest.fixture
def backend() -> Iterator[Served]:
    """An ML backend that queues everything."""

    def answer(exchange: Exchange) -> None:
        told = json.loads(exchange.asked.body or b"{}")
        answers: dict[str, Any] = {
            "/health": {"status": "UP"},
            "/setup": {"model_version": VERSION},
            "/predict": {"results": [[] for _ in told.get("tasks", ())]},
        }
        exchange.answer(200, json.dumps(answers.get(exchange.path, {})).encode(), content_type="application/json")

    with serving(answer) as server:
        yield server


def asked(backend: Served, path: str) -> list[dict[str, Any]]:
    return [json.loads(each.body or b"{}") for each in backend.requests if each.path == path]


def test_knows_whose_token_it_has(client: LabelStudioClient, label_studio: LabelStudioHandle) -> None:
    assert client.whoami().email == label_studio.user


def test_says_what_is_wrong_with_a_token(label_studio: LabelStudioHandle) -> None:
    tampered = label_studio.personal_access_token[:-4] + "AAAA"
    for key in ("0" * 40, tampered):
        client = LabelStudioClient(label_studio.url, key)
        with pytest.raises(LabelStudioUnauthorizedError, match="LABEL_STUDIO_API_KEY") as caught:
            client.whoami()
        assert key not in str(caught.value)
        client.close()


def test_lists_tasks_without_waking_the_ml_backend(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...], backend: Served
) -> None:
    connect(client, Target(backend.url), project=project)
    assert [task.id for task in client.tasks(project)] == list(tasks)
    [one] = client.tasks(project, ids=[tasks[1]])
    assert one.data == {"video1": "s3://bucket/a.mp4", "prompt": "prompt 1"}
    assert client.predictions_of(tasks[1], VERSION) == ()
    assert list(client.predictions(project, tasks, VERSION)) == [(task, ()) for task in tasks]
    assert list(client.annotated_tasks(project)) == []
    assert asked(backend, "/predict") == []
    client.retrieve_predictions(project, tasks[1:3])
    client.retrieve_predictions(project, [])
    assert [[task["id"] for task in each["tasks"]] for each in asked(backend, "/predict")] == [list(tasks[1:3])]


def test_a_deleted_task_or_project_is_not_found(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...], label_studio: LabelStudioHandle
) -> None:
    label_studio.client.delete(f"/api/tasks/{tasks[0]}/").raise_for_status()
    assert list(client.tasks(project, ids=[tasks[0]])) == []
    with pytest.raises(LabelStudioNotFoundError):
        client.create_prediction(prediction(tasks[0]))
    label_studio.client.delete(f"/api/projects/{project}/").raise_for_status()
    with pytest.raises(LabelStudioNotFoundError):
        client.project(project)
    with pytest.raises(LabelStudioNotFoundError):
        list(client.tasks(project))


def test_stores_predictions_as_sent(client: LabelStudioClient, project: int, tasks: tuple[int, ...]) -> None:
    number = client.create_prediction(prediction(tasks[0]))
    [stored] = client.predictions_of(tasks[0], VERSION)
    assert (stored.id, stored.result) == (number, list(TIE))
    assert stored.score == pytest.approx(1 / 3)
    assert [task.total_predictions for task in client.tasks(project, ids=[tasks[0]])] == [1]
    without = client.tasks(project, filters=[without_prediction_of(VERSION)])
    assert [task.id for task in without] == list(tasks[1:])


def test_imports_predictions_once_however_often_it_is_called(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...], label_studio: LabelStudioHandle
) -> None:
    first = client.create_prediction(prediction(tasks[0]))
    label_studio.client.delete(f"/api/tasks/{tasks[4]}/").raise_for_status()
    predictions = [prediction(task) for task in tasks]
    imported = client.import_predictions(project, predictions)
    assert imported.stored[tasks[0]] == first
    assert set(imported.stored) == set(tasks[:4])
    assert isinstance(imported.refused[tasks[4]], LabelStudioNotFoundError)
    assert client.import_predictions(project, predictions).stored == imported.stored
    stored = [one for _, found in client.predictions(project, tasks, VERSION) for one in found]
    assert [each.id for each in stored] == [imported.stored[task] for task in tasks[:4]]
    assert [each.result for each in stored] == [list(TIE)] * 4


def test_sends_one_by_one_what_the_bulk_endpoint_drops(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...], label_studio: LabelStudioHandle
) -> None:
    unknown = replace(prediction(tasks[1]), result=({**TIE[0], "value": {"choices": ["Video 3"]}},))
    bulk = label_studio.client.post(f"/api/projects/{project}/import/predictions", json=[unknown.as_json()])
    assert bulk.json() == {"created": 0}
    imported = client.import_predictions(project, [prediction(tasks[0]), unknown])
    assert set(imported.stored) == {tasks[0], tasks[1]}


def annotated(client: LabelStudioClient, project: int, task: int, since: Any = None) -> AnnotatedTask | None:  # noqa: ANN401
    return next((each for each in client.annotated_tasks(project, since) if each.id == task), None)


def test_tells_every_change_of_the_annotations(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...], label_studio: LabelStudioHandle
) -> None:
    people, task = label_studio.client, tasks[2]
    parent = client.create_prediction(prediction(task))
    body = {"result": [dict(TIE[0])], "lead_time": 4.5, "parent_prediction": parent}
    created = people.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status().json()
    seen = annotated(client, project, task)
    assert seen is not None
    [annotation] = seen.annotations
    assert (annotation.id, annotation.task, annotation.result) == (created["id"], task, TIE[:1])
    assert (annotation.parent_prediction, annotation.lead_time) == (parent, 4.5)
    assert annotation.completed_by == client.whoami().id
    assert not annotation.was_cancelled
    assert [each.annotations for each in client.annotated_tasks(project)] == [(annotation,)]

    people.patch(f"/api/annotations/{created['id']}/", json={"result": []}).raise_for_status()
    changed = annotated(client, project, task, seen.updated_at)
    assert changed is not None
    assert changed.annotations[0].result == ()
    assert changed.updated_at > seen.updated_at

    people.delete(f"/api/annotations/{created['id']}/").raise_for_status()
    emptied = annotated(client, project, task, changed.updated_at)
    assert emptied is not None
    assert emptied.annotations == ()
    assert annotated(client, project, task) is None


def test_tells_skipped_and_bulk_annotations_apart(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...], label_studio: LabelStudioHandle
) -> None:
    people = label_studio.client
    people.post(f"/api/tasks/{tasks[0]}/annotations/", json={"result": [], "was_cancelled": True}).raise_for_status()
    number = client.create_prediction(prediction(tasks[1]))
    people.post(
        f"/api/dm/actions?id=predictions_to_annotations&project={project}",
        json={"selectedItems": {"all": False, "included": [tasks[1]]}, "filters": None, "ordering": []},
    ).raise_for_status()
    told = {each.id: each.annotations for each in client.annotated_tasks(project)}
    assert [each.was_cancelled for each in told[tasks[0]]] == [True]
    [made] = told[tasks[1]]
    assert (made.parent_prediction, made.lead_time, made.was_cancelled) == (number, None, False)


def test_connects_a_project_and_its_webhook_carries_the_secret(
    client: LabelStudioClient,
    backend: Served,
    label_studio: LabelStudioHandle,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    videos = label_studio.files_root / "connected"
    videos.mkdir(exist_ok=True)
    title = tmp_path_factory.mktemp("project").name
    target = Target(backend.url, CONFIG, ("name", "password"), "hook-secret", (str(videos),))
    connected = connect(client, target, title=title)
    assert connected.ml_backend.state == "CO"
    assert (connected.webhook.send_for_all_actions, set(connected.webhook.actions)) == (False, set(HINTS))
    again = connect(client, target, title=title)
    assert (again.changes, again.project.id) == ((), connected.project.id)
    assert len(client.administration.webhooks(again.project.id)) == 1
    assert len(client.administration.ml_backends(again.project.id)) == 1

    [task] = client.administration.import_tasks(again.project.id, [{"data": {"video1": "a", "prompt": "p"}}])
    label_studio.client.post(f"/api/tasks/{task}/annotations/", json={"result": []}).raise_for_status()
    hooks = [each for each in backend.requests if each.path == "/webhook"]
    assert [json.loads(each.body)["action"] for each in hooks] == ["TASKS_CREATED", "ANNOTATION_CREATED"]
    assert {each.headers[SECRET_HEADER.lower()] for each in hooks} == {"hook-secret"}
    assert all(each.headers["authorization"].startswith("Basic ") for each in backend.requests if each.path == "/setup")


def test_shows_a_model_version_only_once_it_has_a_prediction(
    client: LabelStudioClient, project: int, tasks: tuple[int, ...]
) -> None:
    with pytest.raises(LabelStudioError, match="Model version"):
        client.set_model_version(project, VERSION)
    client.create_prediction(prediction(tasks[0]))
    client.set_model_version(project, VERSION)
    assert client.project(project).model_version == VERSION


def test_a_backend_that_does_not_answer_is_not_connected(client: LabelStudioClient, project: int) -> None:
    with pytest.raises(LabelStudioError, match="health check failed"):
        connect(client, Target("http://127.0.0.1:9"), project=project)
    assert client.administration.ml_backends(project) == ()
    assert client.administration.webhooks(project) == ()
