"""What Label Studio asks, with the requests it really sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from backend.ledger import ExportState, Key, Ledger, State
from tests.unit.requests import CONFIG, FakeQueue, payload, task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient


BAD_CONFIG = CONFIG.replace('name="vq"', 'name="colour"')


def test_health_asks_neither_the_ledger_nor_redis(client: FlaskClient, ledger: Ledger, queue: FakeQueue) -> None:
    queue.broken = True
    with ledger._write() as db:
        db.exec_driver_sql("DROP TABLE work")
    assert client.get("/health").get_json()["status"] == "UP"


def test_setup_answers_exactly_our_version(client: FlaskClient, version: str) -> None:
    answer = client.post("/setup", json=payload("setup"))
    assert (answer.status_code, answer.get_json()) == (200, {"model_version": version})


def test_a_bad_config_is_refused_in_the_status_line_which_is_all_that_label_studio_shows(client: FlaskClient) -> None:
    answer = client.post("/setup", json={**payload("setup"), "schema": BAD_CONFIG})
    code, _, phrase = answer.status.partition(" ")
    assert code == "400"
    assert "no choices for VQ (visual quality)" in phrase
    assert not set(phrase) & set("<>\n")
    assert "no choices for VQ" in answer.get_json()["error"]


def test_the_access_token_that_setup_sends_is_neither_logged_nor_kept(
    client: FlaskClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    body = payload("setup")
    with caplog.at_level(logging.DEBUG):
        client.post("/setup", json=body)
        client.post("/setup", json={**body, "schema": BAD_CONFIG})
        client.post("/setup", json={**body, "project": None})
    token = body["access_token"]
    assert token not in caplog.text
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_predict_answers_one_empty_list_per_task(
    client: FlaskClient, queue: FakeQueue, ledger: Ledger, version: str
) -> None:
    answer = client.post("/predict", json=payload("predict"))
    assert (answer.status_code, answer.get_json()) == (200, {"results": [[], [], []]})
    assert queue.waiting == [1, 2, 3]
    assert ledger.counts(1, version)[State.QUEUED] == 3


def test_an_interactive_request_is_one_for_a_person_who_waits(client: FlaskClient, queue: FakeQueue) -> None:
    client.post("/predict", json=payload("predict"))
    body = {**payload("predict_interactive"), "tasks": payload("predict")["tasks"][2:]}
    assert client.post("/predict", json=body).get_json() == {"results": [[]]}
    assert queue.waiting == [3, 1, 2]


def test_a_bad_task_does_not_stop_the_others(client: FlaskClient, ledger: Ledger, version: str) -> None:
    body = {**payload("predict"), "tasks": [task(1), task(2, prompt=""), None]}
    assert client.post("/predict", json=body).get_json() == {"results": [[], [], []]}
    entry = ledger.entry(Key(1, 2, version))
    assert entry is not None
    assert (entry.state, entry.reason) == (State.FAILED, "task_data")


def test_predict_works_while_redis_is_down(client: FlaskClient, queue: FakeQueue) -> None:
    queue.broken = True
    assert client.post("/predict", json=payload("predict")).status_code == 200


def test_predict_says_so_when_the_ledger_is_down(client: FlaskClient, ledger: Ledger, tmp_path: Path) -> None:
    with ledger._write() as db:
        db.exec_driver_sql("DROP TABLE work")
    answer = client.post("/predict", json=payload("predict"))
    assert answer.status_code == 503
    assert answer.get_json() == {"error": "Its ledger cannot be used right now; its log says why."}
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize("method", ["get", "post"])
def test_versions_holds_the_one_that_setup_answers(client: FlaskClient, version: str, method: str) -> None:
    assert getattr(client, method)("/versions").get_json() == {"versions": [version]}


def test_a_webhook_is_worked_in_after_the_answer(make_app: Callable[..., Flask], ledger: Ledger) -> None:
    app = make_app()
    answer = app.test_client().post("/webhook", json=payload("webhook_annotation_created"))
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})
    app.extensions["background"].close()
    assert ledger.annotation_ids(1) == {1}


def test_a_webhook_that_cannot_be_worked_in_leaves_one_line_in_the_log(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    assert app.test_client().post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 200
    app.extensions["background"].close()
    assert [record.message for record in caplog.records if "hint lost" in record.message]


@pytest.mark.parametrize("action", ["PROJECT_UPDATED", "LABEL_LINK_CREATED", "", "annotation_created", "🦊"])
def test_other_actions_are_ignored(client: FlaskClient, action: str) -> None:
    answer = client.post("/webhook", json={"action": action})
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ignored"})


def test_start_training_asks_for_an_export_once_and_the_status_page_tells_of_it(
    client: FlaskClient, ledger: Ledger
) -> None:
    for _ in range(2):
        answer = client.post("/webhook", json=payload("webhook_start_training"))
        assert answer.status_code == 200
        assert "the status page tells" in answer.get_json()["message"]
    [request] = ledger.export_requests()
    assert (request.project, request.state) == (1, ExportState.WAITING)
    assert "waits for the publisher" in client.get("/").text


@pytest.mark.parametrize("project", [None, 1, {}, {"id": "x"}, {"id": True}, []])
def test_start_training_of_no_project_is_refused(client: FlaskClient, ledger: Ledger, project: object) -> None:
    answer = client.post("/webhook", json={"action": "START_TRAINING", "project": project})
    assert answer.status_code == 400
    assert ledger.export_requests() == []


def test_a_thousand_tasks_in_megabytes_of_json_are_queued_once_each(client: FlaskClient, queue: FakeQueue) -> None:
    tasks = [{**task(number), "annotations": [{"result": ["x" * 5000]}]} for number in range(1, 1001)]
    answer = client.post("/predict", json={**payload("predict"), "tasks": tasks})
    assert answer.get_json() == {"results": [[]] * 1000}
    assert queue.waiting == list(range(1, 1001))
