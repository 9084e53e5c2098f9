"""A pause, a cancellation and auto mode are in the ledger: nothing that restarts forgets them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from backend.demo.process import free_port
from backend.errors import MediaError, QueueError
from backend.intake import LedgerIntake
from backend.jobs.reconciling import Reconciling
from backend.jobs.steering import Steering
from backend.ledger import Automatic, Key, Ledger, Paused, State
from backend.queue import WorkQueue
from backend.settings import Settings
from backend.types import PairwiseTask
from backend.wire import Failure, Order, Outcome
from tests.unit.jobs.desk import START, VERSION, judged
from tests.unit.requests import CONFIG, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

MINUTE = timedelta(minutes=1)


@pytest.fixture
def now() -> list[datetime]:
    return [START]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str, now: list[datetime]) -> Iterator[Ledger]:
    ledger = Ledger.open(url, clock=lambda: now[0])
    yield ledger
    ledger.close()


@pytest.fixture
def queue(redis_queue: WorkQueue) -> WorkQueue:
    return redis_queue


@pytest.fixture
def steering(ledger: Ledger, queue: WorkQueue) -> Steering:
    return Steering(ledger, queue, Reconciling(ledger, queue).run)


@pytest.fixture
def intake(ledger: Ledger, queue: WorkQueue) -> LedgerIntake:
    return LedgerIntake(ledger, queue, VERSION)


def ask(intake: LedgerIntake, *tasks: int, project: int = 1, opened: bool = False) -> None:
    intake.take(project, CONFIG, [{**task(number), "project": project} for number in tasks], opened=opened)


def waiting(queue: WorkQueue) -> list[tuple[int, int]]:
    places = (name.split("-")[1:3] for name in queue.judging(VERSION).get_job_ids())
    return [(int(project), int(number)) for project, number in places]


def fail(ledger: Ledger, number: int) -> None:
    order = Order(PairwiseTask(1, number, f"/data/{number}_a.mp4", f"/data/{number}_b.mp4", "a red panda"), VERSION)
    ledger.record(Outcome(order, failure=Failure(MediaError.reason, "it answers 404", False)))


def test_a_paused_project_leaves_the_queue_and_the_others_stay(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue
) -> None:
    ask(intake, 1, 2, 3)
    ask(intake, 1, 2, project=11)
    assert steering.pause(1) == 3
    assert waiting(queue) == [(11, 1), (11, 2)]
    assert not queue.connection.exists(*(queue.judging(VERSION).job_class.key_for(f"judge-1-{n}-x") for n in (1, 2, 3)))


def test_a_pause_and_a_cancellation_cover_orders_of_every_model_version(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, ledger: Ledger, now: list[datetime]
) -> None:
    older = LedgerIntake(ledger, queue, "tiny-0")
    ask(intake, 1)
    ask(older, 1, 2)
    assert queue.counts().waiting == {"tiny-0": 2, VERSION: 1}
    assert steering.pause(1) == 3
    assert queue.counts().judge_waiting == 0
    now[0] += MINUTE
    steering.resume(1)
    assert queue.counts().waiting == {"tiny-0": 2, VERSION: 1}
    assert steering.cancel(1) == 3
    assert queue.counts().judge_waiting == 0


def test_nothing_of_a_paused_project_comes_back_by_asking_or_by_reconciling(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, ledger: Ledger, now: list[datetime]
) -> None:
    ask(intake, 1)
    steering.pause(1)
    ask(intake, 1, 2)
    now[0] += MINUTE
    steering.reconcile()
    assert waiting(queue) == []
    assert ledger.counts(1)[State.QUEUED] == 2


def test_a_job_that_was_handed_back_after_the_pause_is_withdrawn(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, ledger: Ledger
) -> None:
    ledger.pause(1)
    ledger.enter([PairwiseTask(1, 5, "/a", "/b", "x")], VERSION)
    queue.enqueue([Order(PairwiseTask(1, 5, "/a", "/b", "x"), VERSION)])
    steering.reconcile()
    assert waiting(queue) == []


def test_a_pause_outlives_the_process_and_an_emptied_redis(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, url: str, now: list[datetime]
) -> None:
    ask(intake, 1)
    steering.pause()
    queue.connection.flushdb()
    now[0] += MINUTE
    again = Ledger.open(url, clock=lambda: now[0])
    assert again.paused() == Paused(everything=True, projects=frozenset())
    Reconciling(again, queue).run()
    assert waiting(queue) == []
    again.close()


def test_resuming_puts_everything_back_what_people_opened_first(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, now: list[datetime]
) -> None:
    ask(intake, 1, 2)
    steering.pause(1)
    ask(intake, 3, opened=True)
    ask(intake, 2, opened=True)
    now[0] += MINUTE
    assert steering.resume(1)
    assert [number for _, number in waiting(queue)] == [2, 3, 1]


def test_a_task_that_a_person_opens_still_goes_first_while_another_project_is_paused(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue
) -> None:
    steering.pause(2)
    ask(intake, 1, 2)
    ask(intake, 2, opened=True)
    assert waiting(queue) == [(1, 2), (1, 1)]


def test_a_pause_of_all_and_one_of_a_project_are_two(steering: Steering, ledger: Ledger) -> None:
    steering.pause()
    steering.pause(1)
    assert not steering.resume(1), "everything is still paused"
    steering.pause(1)
    assert not steering.resume(), "project 1 is still paused"
    assert ledger.paused() == Paused(everything=False, projects=frozenset({1}))
    assert steering.resume(1)


def test_cancelled_tasks_are_given_up_and_judged_ones_are_not(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, ledger: Ledger
) -> None:
    ask(intake, 1, 2)
    ledger.record(judged(3))
    assert steering.cancel(1) == 2
    assert waiting(queue) == []
    states = ledger.counts(1)
    assert (states[State.SKIPPED], states[State.JUDGED]) == (2, 1)
    assert ledger.record(judged(1)) is State.SKIPPED


def test_what_waits_of_every_model_version_is_cancelled(steering: Steering, ledger: Ledger) -> None:
    for version in ("older-1", VERSION):
        ledger.enter([PairwiseTask(1, 1, "/a", "/b", "x")], version)
    assert steering.cancel(1) == 2


def test_a_cancelled_task_is_entered_anew_only_when_a_person_asks_for_it(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue
) -> None:
    ask(intake, 1)
    steering.cancel(1)
    assert intake.take(1, CONFIG, [task(1)], opened=False, again=False).new == 0
    assert intake.take(1, CONFIG, [task(1)], opened=False).new == 1
    assert waiting(queue) == [(1, 1)]


@pytest.mark.parametrize(("reasons", "again"), [((), 2), (("media",), 2), (("engine",), 0)])
def test_failed_tasks_are_queued_again_by_reason(
    steering: Steering,
    intake: LedgerIntake,
    queue: WorkQueue,
    ledger: Ledger,
    reasons: tuple[str, ...],
    again: int,
) -> None:
    ask(intake, 1, 2, 3)
    queue.connection.flushdb()
    fail(ledger, 1)
    fail(ledger, 2)
    assert steering.retry(1, VERSION, reasons) == again
    assert sorted(number for _, number in waiting(queue)) == [1, 2][:again]


def test_a_retry_while_the_project_is_paused_waits_for_its_end(
    steering: Steering, intake: LedgerIntake, queue: WorkQueue, ledger: Ledger
) -> None:
    fail(ledger, 1)
    steering.pause(1)
    assert steering.retry(1, VERSION) == 1
    assert waiting(queue) == []
    steering.resume(1)
    assert waiting(queue) == [(1, 1)]


def test_the_ledger_is_switched_when_redis_is_down(ledger: Ledger) -> None:
    down = WorkQueue.connect(Settings(redis_url=f"redis://127.0.0.1:{free_port(0)}/0", _env_file=None))
    steering = Steering(ledger, down, Reconciling(ledger, down).run)
    fail(ledger, 1)
    with pytest.raises(QueueError):
        steering.retry(1, VERSION)
    assert ledger.due() == [Key(1, 1, VERSION)]
    with pytest.raises(QueueError):
        steering.pause(1)
    assert ledger.paused().covers(1)
    assert ledger.due() == []


def test_auto_mode_is_switched_per_project_and_keeps_its_place(ledger: Ledger) -> None:
    ledger.take_automatically(1, after=40)
    ledger.taken_to(1, 55)
    ledger.take_automatically(1, after=90)
    assert ledger.automatic() == [Automatic(project=1, after=40, to=55)]
    ledger.pause(1)
    ledger.take_when_asked(1)
    assert (ledger.is_automatic(1), ledger.automatic(), ledger.paused().covers(1)) == (False, [], True)


def test_a_large_mixed_queue_keeps_its_order(steering: Steering, intake: LedgerIntake, queue: WorkQueue) -> None:
    for start in range(1, 5001, 500):
        ask(intake, *range(start, start + 500))
        ask(intake, *range(start, start + 500), project=2)
    assert steering.pause(1) == 5000
    assert waiting(queue) == [(2, number) for number in range(1, 5001)]
