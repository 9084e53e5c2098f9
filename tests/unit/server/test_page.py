"""The status page says what is, also when a part is down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from backend.ledger import Ledger
from tests.unit.requests import CONFIG, FakeQueue, live_worker, payload, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient


def test_it_shows_states_failures_and_links_to_the_tasks(client: FlaskClient) -> None:
    client.post("/predict", json={**payload("predict"), "tasks": [task(1), task(2, prompt=""), task(3, prompt="")]})
    client.post("/setup", json=payload("setup"))
    page = client.get("/").text
    assert "<dt>queued</dt><dd>1</dd>" in page
    assert "<dt>failed</dt><dd>2</dd>" in page
    assert "task_data" in page
    assert 'href="http://127.0.0.1:8080/projects/1/data?task=3"' in page


def test_its_links_use_the_address_that_browsers_reach(make_app: Callable[..., Flask]) -> None:
    client = make_app(label_studio_public_url="https://labels.example.org/").test_client()
    client.post("/setup", json=payload("setup"))
    assert 'href="https://labels.example.org/projects/1/data"' in client.get("/").text


def test_it_shows_each_worker_and_marks_the_one_that_is_late_or_of_another_version(
    client: FlaskClient, queue: FakeQueue, version: str
) -> None:
    late = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    queue.live = [
        live_worker(name="gpu-0", model_version=version, tasks=((7, 41), (8, 42))),
        live_worker(name="gpu-1", model_version="older-1", heartbeat=late),
    ]
    page = client.get("/").text
    assert 'href="http://127.0.0.1:8080/projects/7/data?task=41"' in page
    assert 'href="http://127.0.0.1:8080/projects/8/data?task=42"' in page
    assert page.count('class="bad"') == 2
    assert "2 h 5 min ago" in page
    assert "No worker writes back" in page
    assert "No worker judges" not in page


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", "</dd><img src=x onerror=alert(1)>"])
def test_what_people_wrote_is_shown_as_text(make_app: Callable[..., Flask], title: str) -> None:
    app = make_app()
    body = payload("webhook_annotation_created")
    body["project"]["title"] = title
    app.test_client().post("/webhook", json=body)
    app.extensions["background"].close()
    page = app.test_client().get("/").text
    assert title not in page
    assert title.replace("<", "&lt;").replace(">", "&gt;") in page


def test_it_says_why_a_config_is_refused_until_it_is_repaired(client: FlaskClient) -> None:
    client.post("/setup", json={**payload("setup"), "schema": CONFIG.replace('name="vq"', 'name="colour"')})
    page = client.get("/").text
    assert "no choices for VQ" in page
    assert 'href="http://127.0.0.1:8080/projects/1/settings/labeling"' in page
    client.post("/setup", json=payload("setup"))
    assert "no choices for VQ" not in client.get("/").text


def test_it_says_that_redis_is_down_and_shows_the_rest(client: FlaskClient, queue: FakeQueue) -> None:
    client.post("/predict", json=payload("predict"))
    queue.broken = True
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Redis cannot be reached" in answer.text
    assert "<dt>queued</dt><dd>3</dd>" in answer.text


def test_it_says_that_the_ledger_is_down_and_shows_the_rest(
    client: FlaskClient, ledger: Ledger, queue: FakeQueue
) -> None:
    queue.live = [live_worker(name="gpu-0")]
    with ledger._write() as db:
        db.exec_driver_sql("DROP TABLE work")
    page = client.get("/").text
    assert "The ledger cannot be read" in page
    assert "gpu-0" in page


def test_it_needs_no_javascript_and_allows_none(client: FlaskClient) -> None:
    answer = client.get("/")
    assert "<script" not in answer.text
    assert 'http-equiv="refresh"' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with client.get("/static/status.css") as style:
        assert style.status_code == 200
