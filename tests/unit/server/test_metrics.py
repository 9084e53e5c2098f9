"""Counters of this process, and what the ledger and Redis hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from backend.jobs.comparing import Comparing
from backend.ledger import Key, Ledger, Project
from backend.server.metrics import Recorded
from backend.types import PairwiseTask
from backend.wire import Order, Outcome
from tests.unit.label_studio.judgements import ASK, DECIDE, judged
from tests.unit.requests import CONFIG, FakeQueue, live_worker, payload, task
from tests.unit.server.test_page import answered

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

VERSION = "tiny-1"
MINUTE = timedelta(minutes=1)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def judge_and_publish(ledger: Ledger, clock: FakeClock, number: int) -> None:
    """A task that took the model two turns and was in Label Studio seven seconds later."""
    pair = PairwiseTask(1, number, "/a.mp4", "/b.mp4", "a red panda")
    ledger.enter([pair], VERSION)
    judgement = replace(judged(ASK, DECIDE), model_version=VERSION, seconds={"fetch": 0.7, "judge": 3.0})
    ledger.record(Outcome(Order(pair, VERSION), judgement=judgement))
    clock.now += timedelta(seconds=7)
    ledger.mark_all_published({Key(1, number, VERSION): 40 + number})


def test_what_workers_did_since_the_start_is_counted_once(tmp_path: Path) -> None:
    clock, registry = FakeClock(), CollectorRegistry()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    judge_and_publish(ledger, clock, 1)
    clock.now += MINUTE
    registry.register(Recorded(ledger, FakeQueue(), clock))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"vrthinker_{name}", labels)

    assert value("judge_turns_count") == 0
    judge_and_publish(ledger, clock, 2)
    clock.now += MINUTE
    for _look in range(3):
        assert value("judge_turns_sum") == 2
    assert value("judge_seconds_sum", stage="fetch") == pytest.approx(0.7)
    assert value("judge_seconds_sum", stage="judge") == pytest.approx(3.0)
    assert value("tokens_total", kind="prompt") == sum(turn.prompt_tokens for turn in judged(ASK, DECIDE).turns)
    assert value("publish_seconds_sum") == 7
    ledger.close()


def test_what_waits_for_write_back_is_counted_with_its_age(tmp_path: Path) -> None:
    clock, registry = FakeClock(), CollectorRegistry()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    judge_and_publish(ledger, clock, 1)
    registry.register(Recorded(ledger, FakeQueue(), clock))

    def waiting() -> tuple[float | None, float | None]:
        names = ("vrthinker_unpublished", "vrthinker_unpublished_oldest_seconds")
        count, oldest = (registry.get_sample_value(name, {"project": "1"}) for name in names)
        return count, oldest

    assert waiting() == (0, 0)
    for number in (2, 3, 4):
        pair = PairwiseTask(1, number, "/a.mp4", "/b.mp4", "a red panda")
        ledger.record(Outcome(Order(pair, VERSION), judgement=replace(judged(ASK, DECIDE), model_version=VERSION)))
        clock.now += MINUTE
    assert waiting() == (3, 180)
    ledger.hide(*ledger.claim_for_publishing([Key(1, 2, VERSION)]))
    assert waiting() == (2, 120)
    ledger.close()


def test_reasons_are_told_before_anything_fails_for_them(client: FlaskClient, ledger: Ledger) -> None:
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    text = client.get("/metrics").text
    for reason in ("task_data", "media_unavailable", "engine", "crashed", "label_studio_unauthorized"):
        assert f'vrthinker_failures{{project="7",reason="{reason}"}} 0.0' in text


def test_the_versions_of_live_workers_are_counted(client: FlaskClient, queue: FakeQueue) -> None:
    queue.live = [
        live_worker(name="gpu-0"),
        live_worker(name="gpu-1"),
        live_worker(name="gpu-2", model_version="older"),
    ]
    text = client.get("/metrics").text
    assert 'vrthinker_workers{model_version="tiny-1",role="judge"} 2.0' in text
    assert 'vrthinker_workers{model_version="older",role="judge"} 1.0' in text


def test_orders_are_counted_by_the_model_version_that_lacks_a_worker(client: FlaskClient, queue: FakeQueue) -> None:
    queue.foreign = {"older": 17}
    queue.live = [live_worker(name="gpu-0")]
    client.post("/predict", json=payload("predict"))
    text = client.get("/metrics").text
    assert 'vrthinker_jobs_without_worker{model_version="older"} 17.0' in text
    assert 'vrthinker_jobs_without_worker{model_version="tiny-1"} 0.0' in text


def test_they_count_what_was_asked_for(client: FlaskClient) -> None:
    client.post("/predict", json={**payload("predict"), "tasks": [task(1), task(2), task(3, prompt=""), None]})
    client.post("/predict", json={**payload("predict"), "tasks": [task(1), task(2)]})
    client.post("/webhook", json=payload("webhook_tasks_created"))
    text = client.get("/metrics").text
    for sample in (
        'vrthinker_tasks_received_total{outcome="new"} 2.0',
        'vrthinker_tasks_received_total{outcome="known"} 2.0',
        'vrthinker_tasks_rejected_total{reason="task_data"} 1.0',
        'vrthinker_tasks_rejected_total{reason="no_id"} 1.0',
        'vrthinker_webhooks_total{action="TASKS_CREATED"} 1.0',
        "vrthinker_predict_seconds_count 2.0",
        'vrthinker_failures{project="1",reason="task_data"} 1.0',
        'vrthinker_jobs{queue="judge",state="waiting"} 2.0',
        'vrthinker_up{part="ledger"} 1.0',
        'vrthinker_up{part="redis"} 1.0',
    ):
        assert sample in text


def test_a_part_that_is_down_is_told_and_the_rest_still_comes(client: FlaskClient, queue: FakeQueue) -> None:
    client.post("/predict", json=payload("predict"))
    queue.broken = True
    text = client.get("/metrics").text
    assert 'vrthinker_up{part="redis"} 0.0' in text
    assert 'state="queued"} 3.0' in text


def test_agreement_is_told_by_dimension_and_comparison(client: FlaskClient, ledger: Ledger) -> None:
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    answered(ledger, 7, 1, "Video 1")
    answered(ledger, 7, 2, "Tie")
    Comparing(ledger).run()
    text = client.get("/metrics").text
    place = 'model_version="tiny-1",project="7",shown="true"'
    assert f'vrthinker_agreement{{comparison="agree",dimension="TA",{place}}} 1.0' in text
    assert f'vrthinker_agreement{{comparison="human_tie",dimension="OA",{place}}} 1.0' in text
    assert f'vrthinker_agreement{{comparison="flip",dimension="OA",{place}}} 0.0' in text
