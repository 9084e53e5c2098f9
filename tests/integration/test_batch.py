"""A worker that holds several orders keeps every promise that a worker with one does, for each of them."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from backend.ledger import Key, State
from backend.types import PairwiseTask
from backend.wire import Order
from tests.integration.conftest import LONGEST_WAIT_S, pair, published_once, wait_for
from tests.integration.doubles import SLOW_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Stack

BATCH = "3"
PLACES = 5  # with two orders ahead


def held(stack: Stack) -> int:
    """How many orders the workers have."""
    return stack.queue.counts().judging


def attempts(stack: Stack, task: int) -> int:
    entry = stack.ledger.entry(Key(1, task, stack.version))
    assert entry is not None
    return entry.attempts


def test_a_batch_and_a_few_more_are_taken_and_no_others(stack: Stack) -> None:
    stack.enter(*(pair(task) for task in range(1, 8)))
    stack.judge(seconds=600, BATCH=BATCH)
    wait_for(lambda: held(stack) == PLACES)
    wait_for(lambda: stack.queue.workers()[0].tasks == ((1, 1), (1, 2), (1, 3), (1, 4), (1, 5)))
    assert stack.queue.workers()[0].state == "busy"
    assert stack.queue.counts().judge_waiting == 2


def test_every_task_gets_one_prediction_and_a_bad_one_harms_no_other(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(max_attempts=1)
    bad = [
        pair(2, video="/missing.mp4"),
        pair(4, prompt="say nothing"),
        pair(6, prompt="raise something"),
        PairwiseTask(1, 8, "/unavailable.mp4", "/b.mp4", "a dog runs"),
    ]
    good = [task for task in range(1, 21) if task not in {2, 4, 6, 8}]
    stack.enter(*bad, *(pair(task) for task in good))
    stack.judge(BATCH=BATCH)
    stack.publisher()
    wait_for(stack.settled)
    assert {stack.state(task) for task in good} == {State.PUBLISHED}
    assert {group.reason for group in stack.ledger.failures(1)} == {
        "media",
        "no_answer",
        "crashed",
        "media_unavailable",
    }


def test_each_task_of_a_killed_worker_is_judged_by_another(stack: Stack) -> None:
    stack.publisher()
    doomed = stack.judge(seconds=600, BATCH=BATCH)
    stack.enter(*(pair(task) for task in range(1, 7)))
    wait_for(lambda: held(stack) == PLACES)
    doomed.kill()
    stack.judge(BATCH=BATCH)
    wait_for(stack.settled)
    assert published_once(stack, range(1, 7))
    assert [attempts(stack, task) for task in range(1, 7)] == [1] * PLACES + [0]


def test_a_stopped_worker_hands_every_task_back_in_order_without_counting_a_try(stack: Stack) -> None:
    worker = stack.judge(seconds=600, BATCH=BATCH)
    stack.enter(*(pair(task) for task in range(1, 7)))
    wait_for(lambda: held(stack) == PLACES)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LONGEST_WAIT_S) == 0
    waiting = stack.queue.judging(stack.version).get_job_ids()
    assert [job.split("-")[2] for job in waiting] == ["1", "2", "3", "4", "5", "6"]
    assert held(stack) == 0
    assert stack.queue.workers() == []
    stack.judge(BATCH=BATCH)
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, range(1, 7))
    assert [attempts(stack, task) for task in range(1, 7)] == [0] * 6


def test_a_stopped_worker_finishes_what_is_quick_and_takes_no_more(stack: Stack) -> None:
    worker = stack.judge(seconds=0.5, BATCH=BATCH)
    stack.enter(*(pair(task) for task in range(1, 4)))
    wait_for(lambda: held(stack) == 3)
    worker.send_signal(signal.SIGTERM)
    stack.enter(pair(9))
    assert worker.wait(LONGEST_WAIT_S) == 0
    assert stack.queue.counts().publish_waiting == 3
    assert [job.split("-")[2] for job in stack.queue.judging(stack.version).get_job_ids()] == ["9"]


def test_one_that_runs_out_of_time_fails_alone(new_stack: Callable[..., Stack]) -> None:
    """The double sleeps in small steps, as the engine waits; only what cannot be woken takes the process along."""
    stack = new_stack(max_attempts=1, job_timeout_s=3)
    worker = stack.judge(BATCH=BATCH)
    stack.publisher()
    stack.enter(pair(1, prompt="wait and wait"), *(pair(task) for task in range(2, 9)))
    wait_for(stack.settled)
    [group] = stack.ledger.failures(1)
    assert (group.reason, group.tasks) == ("crashed", [1])
    assert "maximum timeout" in group.message
    assert {stack.state(task) for task in range(2, 9)} == {State.PUBLISHED}
    assert worker.poll() is None


def test_one_that_cannot_be_woken_ends_the_process_and_the_others_are_judged_again(
    new_stack: Callable[..., Stack],
) -> None:
    stack = new_stack(max_attempts=2, job_timeout_s=2)
    stack.publisher()
    stack.keep("judge", "0.05", BATCH=BATCH)
    stack.enter(pair(1, prompt="take for ever"), *(pair(task) for task in range(2, 6)))
    wait_for(stack.settled)
    [group] = stack.ledger.failures(1)
    assert (group.reason, group.tasks) == ("worker_lost", [1])
    assert {stack.state(task) for task in range(2, 6)} == {State.PUBLISHED}


def test_one_that_kills_the_process_is_tried_again_alone_so_that_it_takes_no_others_along_twice(
    new_stack: Callable[..., Stack],
) -> None:
    stack = new_stack(max_attempts=2)
    stack.publisher()
    stack.enter(pair(1), pair(2, prompt="die at once"), pair(3), pair(4), pair(5, prompt="die at once"), pair(6))
    stack.keep("judge", "0.3", BATCH=BATCH)
    wait_for(stack.settled)
    [group] = stack.ledger.failures(1)
    assert (group.reason, sorted(group.tasks)) == ("worker_lost", [2, 5])
    assert {stack.state(task) for task in (1, 3, 4, 6)} == {State.PUBLISHED}


def test_a_worker_goes_on_when_another_has_taken_the_order_it_made_room_for(stack: Stack) -> None:
    stack.judge(seconds=600, BATCH=BATCH)
    stack.enter(pair(1))
    wait_for(lambda: held(stack) == 1)
    stack.queue.enqueue([Order(pair(2), stack.version, attempt=2)])
    time.sleep(3)
    assert stack.queue.counts().judge_waiting == 1, "it is to be alone, so it waits for the first"
    other = stack.judge(BATCH=BATCH)
    wait_for(lambda: stack.queue.counts().publish_waiting == 1)
    other.send_signal(signal.SIGTERM)
    other.wait(LONGEST_WAIT_S)
    stack.enter(pair(3), pair(4))
    wait_for(lambda: stack.queue.workers()[0].tasks == ((1, 1), (1, 3), (1, 4)))


@pytest.mark.parametrize("batch", ["1", "3"])
def test_videos_are_ready_before_the_model_is(batch: str, stack: Stack) -> None:
    tasks = range(1, 13)
    start = datetime.now(UTC) - timedelta(minutes=1)
    stack.enter(*(PairwiseTask(1, task, "/slow.mp4", "/slow.mp4", "a dog runs") for task in tasks))
    stack.judge(seconds=6 * SLOW_S, BATCH=batch)
    stack.publisher()
    wait_for(stack.settled)
    assert published_once(stack, tasks)
    spent = [effort.seconds for effort in stack.ledger.efforts(1, start, start + timedelta(hours=1))]
    assert all(seconds["fetch"] >= 2 * SLOW_S for seconds in spent)
    assert sum(seconds["wait"] > SLOW_S / 2 for seconds in spent) >= len(tasks) // 2
