"""What jobs are called, and what happens without Redis. How the queue works with one is tested in `integration`."""

from __future__ import annotations

import re

import pytest

from backend.demo.process import free_port
from backend.errors import QueueError, SettingsError
from backend.queue import Rescue, WorkQueue
from backend.queue.names import (
    JUDGE,
    PUBLISH,
    job_id,
    judge_id,
    judge_queue,
    place_in,
    role_in,
    row_id,
    row_in,
    version_in,
)
from backend.settings import Settings
from backend.types import PairwiseTask
from backend.wire import Order

TASK = PairwiseTask(3, 14, "/a.mp4", "/b.mp4", "a dog runs")
VERSION = "qunwang13/vrthinker 1.0: ümlaut"


def test_a_job_id_holds_what_rq_allows_and_tells_the_task() -> None:
    name = judge_id(TASK, VERSION)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
    assert place_in(name) == (3, 14)


def test_jobs_of_one_row_share_its_id_and_other_versions_do_not() -> None:
    judge, publish = job_id(JUDGE, 3, 14, VERSION), job_id(PUBLISH, 3, 14, VERSION)
    assert judge != publish
    assert row_in(judge) == row_in(publish) == row_id(3, 14, VERSION)
    assert row_id(3, 14, "another version") != row_id(3, 14, VERSION)


def test_a_queue_of_orders_is_named_by_its_model_version() -> None:
    name = judge_queue("tiny-1")
    assert (version_in(name), role_in(name)) == ("tiny-1", JUDGE)
    assert (version_in(PUBLISH), role_in(PUBLISH)) == (None, PUBLISH)
    assert version_in(JUDGE) is None


@pytest.mark.parametrize("name", ["", "judge", "sync-5", "judge-x-y-z", "5fd9a1c2-6e21-4a52-9b5c-3f3c0b2f8a11"])
def test_other_jobs_have_no_task(name: str) -> None:
    assert place_in(name) is None


def settings(url: str) -> Settings:
    return Settings(redis_url=url, _env_file=None)


def test_without_redis_every_way_in_says_so_without_the_password() -> None:
    queue = WorkQueue.connect(settings(f"redis://:hush@127.0.0.1:{free_port(0)}/0"))
    order = Order(TASK, VERSION)
    ways = (
        lambda: queue.enqueue([order]),
        lambda: queue.promote([order]),
        lambda: queue.withdraw([order]),
        lambda: queue.republish([(3, 14, VERSION)]),
        queue.counts,
        queue.workers,
        Rescue(queue).live,
        lambda: list(Rescue(queue).dropped()),
    )
    for way in ways:
        with pytest.raises(QueueError, match="REDIS_URL") as caught:
            way()
        assert "hush" not in str(caught.value)


def test_nothing_is_sent_for_no_orders() -> None:
    WorkQueue.connect(settings(f"redis://127.0.0.1:{free_port(0)}/0")).enqueue([])


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:6379", "redis://:S3cret/abc@redis:6379", "redis://:S3cret?abc@redis:6379", "redis://redis:port"],
)
def test_an_address_that_is_none_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL") as caught:
        WorkQueue.connect(settings(url))
    assert "S3cret" not in str(caught.value)
    assert "%2F" in str(caught.value)
