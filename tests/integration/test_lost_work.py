"""Processes and Redis are killed at bad moments; still every task ends with exactly one prediction, or a reason."""

from __future__ import annotations

import random
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.ledger import Key, State
from tests.integration.conftest import LONGEST_WAIT_S, pair, published_once, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Stack

LONG = "600"  # seconds that a reply takes in a worker which is to be killed


def busy(stack: Stack) -> bool:
    return stack.queue.counts().judging > 0


def test_a_task_whose_worker_was_killed_is_judged_by_another(stack: Stack) -> None:
    stack.publisher()
    doomed = stack.judge(seconds=600)
    stack.enter(pair(1))
    wait_for(lambda: busy(stack))
    doomed.kill()
    stack.judge()
    wait_for(stack.settled)
    assert published_once(stack, [1])
    entry = stack.ledger.entry(Key(1, 1, stack.version))
    assert entry is not None
    assert entry.attempts == 1, "the try that was lost is counted"


def test_a_task_that_kills_every_worker_is_given_up_and_others_are_not(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(max_attempts=2)
    stack.publisher()
    stack.keep("judge", "0.05")
    stack.enter(pair(1, prompt="die at once"), pair(2), pair(3))
    wait_for(stack.settled)
    [group] = stack.ledger.failures(1)
    assert (group.reason, group.tasks) == ("worker_lost", [1])
    assert {stack.state(2), stack.state(3)} == {State.PUBLISHED}


def test_a_worker_that_hangs_with_the_interpreter_locked_is_ended_from_outside_python(
    new_stack: Callable[..., Stack],
) -> None:
    stack = new_stack(max_attempts=1, job_timeout_s=1)
    stack.publisher()
    hanging = stack.judge()
    stack.enter(pair(1, prompt="hang holding the lock"))
    assert hanging.wait(LONGEST_WAIT_S) == 1
    wait_for(stack.settled)
    [group] = stack.ledger.failures(1)
    assert group.reason == "worker_lost"
    assert "doubles.py" in stack.log(), "the log shows where it hung"


def test_a_stopped_worker_hands_its_task_back_without_counting_a_try(stack: Stack) -> None:
    worker = stack.judge(seconds=600)
    stack.enter(pair(1), pair(2))
    wait_for(lambda: busy(stack))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LONGEST_WAIT_S) == 0
    assert [job.split("-")[2] for job in stack.queue.judging(stack.version).get_job_ids()] == ["1", "2"]
    assert not busy(stack)
    assert stack.queue.workers() == []
    stack.judge()
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, [1, 2])
    entry = stack.ledger.entry(Key(1, 1, stack.version))
    assert entry is not None
    assert entry.attempts == 0


def test_a_stopped_worker_finishes_what_is_quick(stack: Stack) -> None:
    worker = stack.judge(seconds=0.5)
    stack.enter(pair(1))
    wait_for(lambda: busy(stack))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LONGEST_WAIT_S) == 0
    assert stack.queue.counts().publish_waiting == 1


@pytest.mark.parametrize("kind", ["judge", "publisher"])
def test_an_idle_worker_stops_when_asked(stack: Stack, kind: str) -> None:
    worker = stack.judge() if kind == "judge" else stack.publisher()
    wait_for(lambda: len(stack.queue.workers()) == 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LONGEST_WAIT_S) == 0
    assert stack.queue.workers() == []


def test_a_publisher_killed_after_posting_leads_to_no_second_prediction(stack: Stack) -> None:
    stack.studio.delay_s = 30
    stack.judge()
    doomed = stack.publisher()
    stack.enter(pair(1))
    wait_for(lambda: stack.studio.predictions)
    doomed.kill()
    stack.studio.delay_s = 0
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, [1])


def test_everything_is_enqueued_again_after_redis_was_emptied(stack: Stack) -> None:
    stack.judge(seconds=0.5)
    stack.publisher()
    wait_for(lambda: len(stack.queue.workers()) == 2)
    stack.enter(*(pair(task) for task in range(1, 11)))
    wait_for(lambda: stack.state(2) is State.PUBLISHED)
    stack.queue.connection.flushall()
    assert stack.queue.counts().judge_waiting == 0
    wait_for(stack.settled)
    assert published_once(stack, range(1, 11))
    assert {worker.role for worker in stack.queue.workers()} == {"judge", "publish"}


def test_outcomes_on_their_way_survive_a_redis_that_was_killed(stack: Stack) -> None:
    stack.judge(seconds=0)
    stack.enter(*(pair(task) for task in range(1, 11)))
    wait_for(lambda: stack.queue.counts().publish_waiting == 10)
    time.sleep(1.1)  # redis writes its file through to the disk every second
    stack.redis.kill()
    stack.redis.start()
    assert stack.queue.counts().publish_waiting == 10
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, range(1, 11))


def test_workers_outlive_a_redis_that_is_away_for_a_while(stack: Stack) -> None:
    judge, publisher = stack.judge(seconds=0.5), stack.publisher()
    stack.enter(*(pair(task) for task in range(1, 7)))
    wait_for(lambda: busy(stack))
    stack.redis.kill()
    time.sleep(3)
    stack.redis.start()
    wait_for(stack.settled)
    assert published_once(stack, range(1, 7))
    assert judge.poll() is publisher.poll() is None


def test_a_job_of_another_kind_in_our_queue_is_removed_and_stops_nothing(stack: Stack) -> None:
    stack.queue.judging(stack.version).enqueue("os.system", "true", job_id="stranger")
    stack.judge()
    stack.publisher()
    stack.enter(pair(1))
    wait_for(stack.settled)
    wait_for(lambda: not stack.queue.judging(stack.version).failed_job_registry.get_job_ids(cleanup=False))
    assert "There is no job 'os.system' here" in stack.log()


def test_nothing_is_lost_or_doubled_while_everything_is_killed_at_random(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(max_attempts=100)
    chance = random.Random(7)  # noqa: S311  # repeatable, not secret
    for _ in range(2):
        stack.keep("judge", "0.2", BATCH="3")
    stack.keep("publisher")
    victims = ["judge", "publisher", "redis"] * 4
    chance.shuffle(victims)
    for number, victim in enumerate(victims):
        stack.enter(*(pair(task) for task in range(number * 5 + 1, number * 5 + 6)))
        time.sleep(chance.uniform(0, 3))
        if victim == "redis":
            stack.redis.kill()
            time.sleep(chance.uniform(0, 2))
            stack.redis.start()
        else:
            wait_for(partial(stack.kill, victim))
    wait_for(stack.settled, within_s=600)
    assert published_once(stack, range(1, len(victims) * 5 + 1))
