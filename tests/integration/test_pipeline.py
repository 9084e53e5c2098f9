"""From an entered task to one prediction in Label Studio, through real processes."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from rq import Queue

from backend.errors import QueueError
from backend.ledger import Key, Ledger, Project, State
from backend.queue import WorkQueue
from backend.queue.names import JUDGE, judge_id
from backend.version import model_version
from backend.wire import Order, to_json
from tests.integration.conftest import pair, published_once, wait_for
from tests.integration.doubles import label_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Stack


def reason(stack: Stack, task: int) -> str:
    entry = stack.ledger.entry(Key(1, task, stack.version))
    assert entry is not None
    return entry.reason


def test_every_task_gets_one_prediction(stack: Stack) -> None:
    stack.judge()
    stack.publisher()
    stack.enter(*(pair(task) for task in range(1, 21)))
    wait_for(stack.settled)
    assert published_once(stack, range(1, 21))
    assert stack.queue.counts().judge_waiting == stack.queue.counts().publish_waiting == 0


def test_entering_the_same_tasks_again_adds_nothing(stack: Stack) -> None:
    stack.judge()
    stack.publisher()
    for _ in range(3):
        stack.enter(*(pair(task) for task in range(1, 4)))
    wait_for(stack.settled)
    stack.enter(pair(1))
    stack.ledger.reopen(1, [1, 2, 3], stack.version)
    wait_for(stack.settled)
    assert published_once(stack, [1, 2, 3])


def test_the_status_page_can_see_workers_and_their_task(stack: Stack) -> None:
    stack.judge(seconds=600)
    stack.publisher()
    stack.enter(pair(7))
    wait_for(lambda: len(stack.queue.workers()) == 2 and stack.queue.workers()[0].task)
    judge, publisher = stack.queue.workers()
    assert (judge.role, judge.tasks, judge.task) == ("judge", ((1, 7),), 7)
    assert (judge.model_version, judge.device) == (stack.version, "test double")
    assert judge.heartbeat is not None
    assert judge.started is not None
    assert judge.heartbeat >= judge.started
    assert (publisher.role, publisher.task) == ("publish", None)


def test_a_task_that_someone_opened_goes_first(stack: Stack) -> None:
    stack.enter(*(pair(task) for task in range(1, 6)))
    assert stack.queue.promote([Order(pair(4), stack.version), Order(pair(99), stack.version)]) == 1
    stack.queue.enqueue([Order(pair(98), stack.version), Order(pair(97), stack.version)], at_front=True)
    waiting = [job.split("-")[2] for job in stack.queue.judging(stack.version).get_job_ids()]
    assert waiting == ["98", "97", "4", "1", "2", "3", "5"]


def test_withdrawn_orders_are_not_judged(stack: Stack) -> None:
    stack.enter(pair(1), pair(2))
    assert stack.queue.withdraw([Order(pair(1), stack.version), Order(pair(3), stack.version)]) == 1
    assert stack.queue.counts().judge_waiting == 1


@pytest.mark.parametrize(
    ("task", "expected", "words"),
    [
        (pair(1, video="/missing.mp4"), "media", "404"),
        (pair(1, prompt="say nothing"), "no_answer", "no usable answer"),
        (pair(1, prompt="raise something"), "crashed", "nobody expected this"),
    ],
)
def test_what_cannot_be_judged_is_failed_with_its_reason_and_stops_nothing_else(
    new_stack: Callable[..., Stack], task: object, expected: str, words: str
) -> None:
    stack = new_stack(max_attempts=1)
    stack.judge()
    stack.publisher()
    stack.enter(task, pair(2))  # type: ignore[arg-type]  # a task of the table
    wait_for(stack.settled)
    assert stack.state(2) is State.PUBLISHED
    [group] = stack.ledger.failures(1)
    assert (group.reason, group.count) == (expected, 1)
    assert words in group.message


def test_a_video_that_cannot_be_had_right_now_is_tried_again_and_then_given_up(
    new_stack: Callable[..., Stack],
) -> None:
    stack = new_stack(max_attempts=2)
    stack.judge()
    stack.publisher()
    stack.enter(pair(1, video="/unavailable.mp4"))
    wait_for(stack.settled)
    entry = stack.ledger.entry(Key(1, 1, stack.version))
    assert entry is not None
    assert (entry.state, entry.reason, entry.attempts) == (State.FAILED, "media_unavailable", 2)


def test_orders_for_another_model_version_wait_for_its_worker_and_it_judges_them(stack: Stack) -> None:
    other = stack.judge(MODEL_REVISION="2")
    stack.publisher()
    wait_for(lambda: len(stack.queue.workers()) == 2)
    stack.enter(*(pair(task) for task in range(1, 6)))
    time.sleep(3)  # several times the worker's and the publisher's rounds
    assert {stack.state(task) for task in range(1, 6)} == {State.QUEUED}
    assert stack.queue.counts().without_worker(stack.queue.workers()) == {stack.version: 5}
    stack.judge()
    wait_for(stack.settled)
    assert published_once(stack, range(1, 6))
    assert stack.queue.counts().without_worker(stack.queue.workers()) == {}
    assert other.poll() is None


def test_an_order_in_the_queue_of_another_model_version_is_refused(stack: Stack) -> None:
    """Only by a mistake; a judgement of the wrong version would be worse than none."""
    stack.ledger.enter([pair(1)], stack.version)
    order = to_json(Order(pair(1), stack.version))
    wrong = stack.queue.judging(model_version(stack.settings.model_copy(update={"model_revision": "2"})))
    wrong.enqueue_many([Queue.prepare_data(JUDGE, (order,), job_id=judge_id(pair(1), stack.version))])
    stack.judge(MODEL_REVISION="2")
    stack.publisher()
    wait_for(stack.settled)
    assert reason(stack, 1) == "version_mismatch"


def test_tasks_entered_while_redis_is_down_are_judged_when_it_is_back(stack: Stack) -> None:
    stack.redis.kill()
    with pytest.raises(QueueError, match="REDIS_URL"):
        stack.enter(pair(1))
    assert stack.state(1) is State.QUEUED
    stack.redis.start()
    stack.judge()
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, [1])


def test_label_studio_down_at_write_back_loses_nothing(stack: Stack) -> None:
    stack.studio.stop()
    stack.judge()
    stack.publisher()
    stack.enter(pair(1), pair(2))
    wait_for(lambda: {reason(stack, 1), reason(stack, 2)} == {"label_studio_unavailable"})
    assert {stack.state(1), stack.state(2)} == {State.JUDGED}
    stack.studio.start()
    wait_for(stack.settled)
    assert published_once(stack, [1, 2])


def test_a_token_that_expired_is_waited_for(stack: Stack) -> None:
    stack.studio.accepts_token = False
    stack.judge()
    stack.publisher()
    stack.enter(pair(1))
    wait_for(lambda: reason(stack, 1) == "label_studio_unauthorized")
    assert stack.state(1) is State.JUDGED
    stack.studio.accepts_token = True
    wait_for(stack.settled)
    assert published_once(stack, [1])


def test_a_task_deleted_meanwhile_is_skipped_with_the_reason(stack: Stack) -> None:
    stack.studio.deleted_tasks.add(1)
    stack.judge()
    stack.publisher()
    stack.enter(pair(1), pair(2))
    wait_for(stack.settled)
    assert (stack.state(1), reason(stack, 1)) == (State.SKIPPED, "task_deleted")
    assert stack.state(2) is State.PUBLISHED


def test_a_config_changed_meanwhile_fails_the_task_until_it_is_corrected_and_retried(stack: Stack) -> None:
    stack.studio.config = label_config("TA", "VQ", "OA")
    stack.judge()
    stack.publisher()
    stack.enter(pair(1))
    wait_for(stack.settled)
    [group] = stack.ledger.failures(1)
    assert group.reason == "label_config"
    assert "MQ" in group.message
    assert stack.studio.by_task() == {}
    stack.studio.config = label_config("TA", "MQ", "VQ", "OA")
    assert stack.ledger.requeue(1, reasons=["label_config"]) == 1
    wait_for(stack.settled)
    assert published_once(stack, [1])


def test_two_publishers_race_for_the_same_rows_and_each_is_posted_once(stack: Stack) -> None:
    stack.judge(seconds=0)
    stack.enter(*(pair(task) for task in range(1, 31)))
    wait_for(lambda: stack.queue.counts().publish_waiting == 30)
    rows = [(1, task, stack.version) for task in range(1, 31)]
    for _ in range(2):  # the same work twice, as after a retry
        stack.queue.republish(rows)
    stack.publisher()
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, range(1, 31))


def _enter_from_here(stack: Stack, barrier: threading.Barrier) -> None:
    ledger = Ledger.open(stack.settings.database_url.get_secret_value())
    queue = WorkQueue.connect(stack.settings)
    barrier.wait()
    new = ledger.enter([pair(task) for task in range(1, 101)], stack.version)
    queue.enqueue(Order(task, stack.version) for task in new)
    ledger.close()
    queue.connection.close()


def test_the_same_request_three_times_at_once_makes_one_job_per_task(stack: Stack) -> None:
    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=_enter_from_here, args=(stack, barrier)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stack.queue.counts().judge_waiting == 100
    assert len(set(stack.queue.judging(stack.version).get_job_ids())) == 100


def test_logs_hold_one_line_per_job_and_no_secret(stack: Stack) -> None:
    stack.judge()
    publisher = stack.publisher()
    stack.enter(pair(1, prompt="a secret prompt"))
    wait_for(stack.settled)
    publisher.send_signal(signal.SIGTERM)
    publisher.wait(30)
    log = stack.log()
    assert sum(" judged project=1 task=1 " in line for line in log.splitlines()) == 1
    assert sum(" published project=1 task=1" in line for line in log.splitlines()) == 1
    for secret in ("a-legacy-token", "for-tests", "a secret prompt", "/a.mp4"):
        assert secret not in log


def test_what_piled_up_is_written_back_in_batches(stack: Stack) -> None:
    stack.judge(seconds=0)
    stack.studio.deleted_tasks.add(17)
    stack.enter(*(pair(task) for task in range(1, 61)))
    wait_for(lambda: stack.queue.counts().publish_waiting == 60)
    stack.publisher()
    wait_for(stack.settled)
    assert stack.state(17) is State.SKIPPED
    assert published_once(stack, [task for task in range(1, 61) if task != 17])
    assert stack.studio.requests["POST /api/projects/1/import/predictions"] >= 1
    assert stack.studio.requests["POST /api/predictions/"] < 60


def test_annotations_are_fetched_also_those_that_no_webhook_told_of(stack: Stack) -> None:
    made = {
        "id": 5,
        "task": 1,
        "result": [],
        "completed_by": 2,
        "parent_prediction": None,
        "was_cancelled": False,
        "lead_time": 3.5,
        "created_at": "2026-01-02T00:00:00Z",
        "updated_at": "2026-01-02T00:00:00Z",
    }
    stack.studio.annotations = {5: made}
    stack.ledger.remember_project(Project(1, "Pairs", stack.studio.config))
    stack.publisher()
    wait_for(lambda: stack.ledger.annotation_ids(1) == {5})
    [kept] = stack.ledger.annotations(1)
    assert (kept.task, kept.lead_time, kept.origin) == (1, 3.5, "sync")
