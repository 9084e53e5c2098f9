"""The status page says what is, also when a part is down."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from backend.agreement.calibration import Calibration, Fit
from backend.errors import LabelStudioUnauthorizedError
from backend.jobs.comparing import Comparing
from backend.ledger import Annotation, Key, Ledger, Project
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Verdict
from backend.wire import Order, Outcome
from tests.unit.label_studio.judgements import judged
from tests.unit.requests import CONFIG, FakeQueue, live_worker, payload, task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

VERSION = "tiny-1"


def test_it_shows_states_failures_and_links_to_the_tasks(client: FlaskClient) -> None:
    client.post("/predict", json={**payload("predict"), "tasks": [task(1), task(2, prompt=""), task(3, prompt="")]})
    client.post("/setup", json=payload("setup"))
    page = client.get("/").text
    assert "<dt>queued</dt><dd>1</dd>" in page
    assert "<dt>failed</dt><dd>2</dd>" in page
    assert "task_data" in page
    assert 'href="http://127.0.0.1:8080/projects/1/data?task=3"' in page


def test_it_shows_why_write_back_is_held_up(client: FlaskClient, ledger: Ledger, version: str) -> None:
    client.post("/setup", json=payload("setup"))
    client.post("/predict", json={**payload("predict"), "tasks": [task(1)]})
    assert "Tried again by themselves" not in client.get("/").text
    mine = Key(1, 1, version)
    [order] = ledger.orders([mine])
    ledger.record(Outcome(order, judged()))
    ledger.postpone(ledger.claim_for_publishing([mine]), LabelStudioUnauthorizedError("Check LABEL_STUDIO_API_KEY."))
    page = client.get("/").text
    assert "Tried again by themselves" in page
    assert "<td>label_studio_unauthorized</td>" in page
    assert "Check LABEL_STUDIO_API_KEY." in page


def test_its_links_use_the_address_that_browsers_reach(make_app: Callable[..., Flask]) -> None:
    client = make_app(label_studio_public_url="https://labels.example.org/").test_client()
    client.post("/setup", json=payload("setup"))
    assert 'href="https://labels.example.org/projects/1/data"' in client.get("/").text


def test_it_says_how_many_tasks_wait_for_a_version_without_a_worker(client: FlaskClient, queue: FakeQueue) -> None:
    queue.foreign = {"older-1": 17, "older-2": 0}
    page = client.get("/").text
    assert "17 tasks wait for model version older-1, and no worker of it is alive." in page
    assert "older-2" not in page
    queue.live = [live_worker(name="gpu-0", model_version="older-1")]
    assert "no worker of it is alive" not in client.get("/").text


def test_it_shows_each_worker_and_tells_the_one_of_another_version(
    client: FlaskClient, queue: FakeQueue, version: str
) -> None:
    by_another_clock = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    queue.live = [
        live_worker(name="gpu-0", model_version=version, tasks=((7, 41), (8, 42))),
        live_worker(name="gpu-1", model_version="older-1", heartbeat=by_another_clock),
    ]
    page = client.get("/").text
    assert 'href="http://127.0.0.1:8080/projects/7/data?task=41"' in page
    assert 'href="http://127.0.0.1:8080/projects/8/data?task=42"' in page
    assert page.count("not this version: leaves its tasks to others") == 1
    assert page.count("2 h 5 min ago") == 1
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


def test_its_reloading_can_be_stopped_and_started_again(client: FlaskClient, ledger: Ledger) -> None:
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    assert 'href="/?refresh=0"' in client.get("/").text
    still = client.get("/?refresh=0").text
    assert 'http-equiv="refresh"' not in still
    assert '<a href="/">Reload by itself</a>' in still
    token = re.search(r'name="token" value="([^"]+)"', still)
    assert token is not None
    assert '<input type="hidden" name="refresh" value="0">' in still
    pressed = client.post("/projects/7/pause", data={"token": token[1], "refresh": "0"})
    assert pressed.location == "/?refresh=0"


def test_a_reload_announces_nothing_anew_and_every_column_has_a_name(client: FlaskClient) -> None:
    client.post("/predict", json={**payload("predict"), "tasks": [task(2, prompt="")]})
    client.post("/setup", json={**payload("setup"), "schema": CONFIG.replace('name="vq"', 'name="colour"')})
    page = client.get("/").text
    assert "no choices for VQ" in page
    assert 'role="alert"' not in page
    assert "<th></th>" not in page


def answered(ledger: Ledger, project: int, task_number: int, chosen: str) -> None:
    """A judgement for Video 1 everywhere, and a person's answer to it."""
    order = Order(PairwiseTask(project, task_number, "/a.mp4", "/b.mp4", "a red panda"), VERSION)
    verdicts = {dimension: Verdict(Preference.VIDEO_1) for dimension in Dimension}
    judgement = Judgement(VERSION, verdicts, "", StopCondition.ANSWERED, False, (), (), ())
    ledger.record(Outcome(order, judgement=judgement))
    result = [
        {"from_name": name, "to_name": "video1", "type": "choices", "value": {"choices": [chosen]}}
        for name in ("ta", "mq", "vq", "oa")
    ]
    moment = datetime.now(UTC)
    ledger.remember_annotation(
        Annotation(task_number, project, task_number, 3, result, None, False, 9.5, moment, moment, "webhook")
    )


def test_it_shows_agreement_per_dimension_as_numbers_and_bars(client: FlaskClient, ledger: Ledger) -> None:
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    for number, chosen in enumerate(["Video 1", "Video 1", "Tie", "Video 2"], start=1):
        answered(ledger, 7, number, chosen)
    assert "The answers of 4 tasks are still to be compared." in client.get("/").text
    while Comparing(ledger).run():
        pass
    page = client.get("/").text
    assert "judgement shown or perhaps seen, 4 answers" in page
    assert page.count("<td>50 %</td>") == 4
    assert 'aria-label="Overall: 2 the same, 1 tie for the person only, 1 opposite"' in page
    assert '<rect class="agree" x="0.0" y="0" width="50.0" height="10"></rect>' in page
    assert "still to be compared" not in page


def test_blind_answers_are_shown_apart(client: FlaskClient, tmp_path: Path, make_app: Callable[..., Flask]) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", blind_share=1.0)
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    answered(ledger, 7, 1, "Video 1")
    Comparing(ledger).run()
    page = client.get("/").text
    assert "blind: judgement not shown, 1 answer<" in page
    assert "judgement shown or" not in page
    ledger.close()


def test_it_shows_how_full_a_gpu_is(client: FlaskClient, queue: FakeQueue) -> None:
    queue.live = [
        live_worker(name="gpu-0", device="cuda:0 A100", memory_free=21_300_000_000, memory_total=40_000_000_000)
    ]
    page = client.get("/").text
    assert "cuda:0 A100" in page
    assert "21.3 of 40.0 GB free" in page


def test_a_project_in_auto_mode_says_so(client: FlaskClient, ledger: Ledger) -> None:
    client.post("/setup", json=payload("setup"))
    ledger.take_automatically(1, after=0)
    assert "New tasks are taken in by themselves." in client.get("/").text


def test_it_says_what_the_scores_are(client: FlaskClient, ledger: Ledger) -> None:
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    answered(ledger, 7, 1, "Video 1")
    Comparing(ledger).run()
    assert "Prediction scores are the model&#39;s own confidence." in client.get("/").text.replace("'", "&#39;")
    ledger.keep_calibration(7, VERSION, Fit(Calibration(0.7, -0.2), 312, 0.214, 0.171))
    page = client.get("/").text
    assert "by 312 answers" in page
    assert "0.171, 0.214 without" in page


def test_no_style_or_script_is_inline(client: FlaskClient, ledger: Ledger) -> None:
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    answered(ledger, 7, 1, "Video 1")
    Comparing(ledger).run()
    page = client.get("/").text
    assert "<svg" in page
    assert not re.search(r"<style|<script|\sstyle=|\son\w+=|javascript:", page)
