"""The page's buttons work without JavaScript, and only from the page itself."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from backend.errors import MediaError
from backend.ledger import Key, Ledger, State
from backend.types import PairwiseTask
from backend.wire import Failure, Order, Outcome
from tests.unit.requests import FakeQueue, payload, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

BASIC = {"Authorization": "Basic " + b64encode(b"ml:secret").decode()}


def fail(ledger: Ledger, version: str, number: int, reason: str = MediaError.reason) -> None:
    order = Order(PairwiseTask(7, number, "/a.mp4", "/b.mp4", "a red panda"), version)
    ledger.record(Outcome(order, failure=Failure(reason, "it answers 404", False)))


def token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def state(ledger: Ledger, version: str, number: int) -> State:
    entry = ledger.entry(Key(7, number, version))
    assert entry is not None
    return entry.state


def test_retry_gives_the_failed_tasks_of_one_reason_another_chance(
    client: FlaskClient, ledger: Ledger, version: str
) -> None:
    fail(ledger, version, 1)
    fail(ledger, version, 2, "engine")
    form = {"token": token(client.get("/").text), "reason": "media"}
    answer = client.post("/projects/7/retry", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.location) == (303, "/")
    assert (state(ledger, version, 1), state(ledger, version, 2)) == (State.QUEUED, State.FAILED)


def test_there_is_a_button_per_reason_but_none_for_tasks_without_usable_data(client: FlaskClient) -> None:
    client.post("/predict", json={**payload("predict"), "tasks": [task(1, prompt="")]})
    page = client.get("/").text
    assert "/retry" not in page
    assert "Correct the tasks, then ask again." in page


def test_failures_of_another_version_have_no_button(client: FlaskClient, ledger: Ledger) -> None:
    fail(ledger, "older-1", 1)
    page = client.get("/").text
    assert "it answers 404" in page
    assert "/retry" not in page


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"token": "wrong"}, {"Sec-Fetch-Site": "same-origin"}),
        ({"token": "pässword"}, {}),
        ({"token": None}, {"Sec-Fetch-Site": "cross-site"}),
        ({"token": None}, {"Sec-Fetch-Site": "same-site"}),
        ({"token": None}, {"Origin": "https://evil.example"}),
    ],
)
def test_a_form_that_is_not_the_pages_own_does_nothing(
    client: FlaskClient, ledger: Ledger, version: str, form: dict[str, str | None], headers: dict[str, str]
) -> None:
    fail(ledger, version, 1)
    right = token(client.get("/").text)
    sent = {name: right if value is None else value for name, value in form.items()}
    for action in ("retry", "pause", "resume"):
        assert client.post(f"/projects/7/{action}", data=sent, headers=headers).status_code == 403
    assert state(ledger, version, 1) is State.FAILED
    assert not ledger.paused().projects


@pytest.mark.parametrize("origin", [None, "null", "http://localhost"])
def test_a_browser_without_sec_fetch_site_may_press(
    client: FlaskClient, ledger: Ledger, version: str, origin: str | None
) -> None:
    fail(ledger, version, 1)
    headers = {} if origin is None else {"Origin": origin}
    form = {"token": token(client.get("/").text)}
    assert client.post("/projects/7/pause", data=form, headers=headers).status_code == 303
    assert ledger.paused().covers(7)


def test_they_are_behind_the_same_password(make_app: Callable[..., Flask]) -> None:
    client = make_app(basic_auth_user="ml", basic_auth_pass="secret").test_client()
    form = {"token": "any"}
    assert client.post("/projects/7/pause", data=form).status_code == 401
    assert client.post("/projects/7/pause", data=form, headers=BASIC).status_code == 403


def test_pausing_shows_on_the_page_until_it_is_resumed(client: FlaskClient, ledger: Ledger, queue: FakeQueue) -> None:
    client.post("/predict", json={**payload("predict"), "project": "7.1", "tasks": [task(1), task(2)]})
    form = {"token": token(client.get("/").text)}
    client.post("/projects/7/pause", data=form)
    page = client.get("/").text
    assert "Paused." in page
    assert 'action="/projects/7/resume"' in page
    assert 'action="/projects/7/pause"' not in page
    assert queue.waiting == []
    client.post("/projects/7/resume", data=form)
    assert "Paused." not in client.get("/").text


def test_pausing_a_project_takes_its_tasks_off_the_queue_and_no_others(client: FlaskClient, queue: FakeQueue) -> None:
    for project in (7, 8):
        client.post("/predict", json={**payload("predict"), "project": f"{project}.1", "tasks": [task(1), task(2)]})
    client.post("/projects/7/pause", data={"token": token(client.get("/").text)})
    assert queue.places == [(8, 1), (8, 2)]


def test_a_pause_is_kept_when_redis_is_down(
    client: FlaskClient, ledger: Ledger, queue: FakeQueue, version: str
) -> None:
    fail(ledger, version, 1)
    form = {"token": token(client.get("/").text)}
    queue.broken = True
    assert client.post("/projects/7/pause", data=form).status_code == 303
    assert ledger.paused().covers(7)


def test_that_everything_is_paused_is_said_first(client: FlaskClient, ledger: Ledger) -> None:
    ledger.pause()
    assert "Everything is paused" in client.get("/").text


@pytest.mark.parametrize("number", [str(2**63), "9" * 31, "9" * 5000])
def test_a_number_that_no_project_can_have_is_not_found(client: FlaskClient, number: str) -> None:
    client.post("/setup", json=payload("setup"))
    form = {"token": token(client.get("/").text)}
    assert client.post(f"/projects/{number}/pause", data=form).status_code == 404


def test_no_form_pauses_every_project(client: FlaskClient, ledger: Ledger) -> None:
    client.post("/setup", json=payload("setup"))
    form = {"token": token(client.get("/").text)}
    assert client.post("/projects/0/pause", data=form).status_code == 404
    assert not ledger.paused().everything


def test_a_form_that_is_too_large_is_refused(client: FlaskClient) -> None:
    assert client.post("/projects/7/pause", data={"token": "x" * 20_000}).status_code == 413
