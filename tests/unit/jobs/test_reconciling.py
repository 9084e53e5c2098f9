"""What Redis or a worker lost is found again, and counted once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from backend.jobs.reconciling import Reconciling, Repairs
from backend.ledger import State
from backend.ledger.work import pause_after
from backend.queue import Drop, DroppedJob, LiveJobs
from backend.queue.names import JUDGE, PUBLISH, REPUBLISH, row_id
from backend.wire import Order, to_json
from tests.unit.jobs.desk import PUBLISHER, VERSION, judged, key, order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.queue import Rescue, WorkQueue
    from tests.unit.jobs.desk import Desk


@dataclass
class Redis:
    """A test double of the queue and of what Redis knows about lost jobs."""

    lost: list[DroppedJob] = field(default_factory=list)
    jobs: LiveJobs = field(default_factory=lambda: LiveJobs(frozenset(), frozenset()))
    workers: set[str] = field(default_factory=lambda: {PUBLISHER})
    enqueued: list[Order] = field(default_factory=list)
    withdrawn: list[Order] = field(default_factory=list)
    republished: list[tuple[int, int, str]] = field(default_factory=list)

    def enqueue(self, orders: Sequence[Order]) -> None:
        self.enqueued += orders

    def withdraw(self, orders: Sequence[Order]) -> int:
        self.withdrawn += orders
        return len(orders)

    def republish(self, rows: Iterator[tuple[int, int, str]]) -> None:
        self.republished += rows

    def dropped(self) -> list[DroppedJob]:
        return list(self.lost)

    def settle(self, job: DroppedJob) -> None:
        self.lost.remove(job)

    def live(self) -> LiveJobs:
        return self.jobs

    def alive(self) -> set[str]:
        return set(self.workers)


def reconcile(desk: Desk, redis: Redis) -> Repairs:
    return Reconciling(desk.ledger, cast("WorkQueue", redis), cast("Rescue", redis)).run()


def dropped(name: str, drop: Drop, *arguments: Any) -> DroppedJob:  # noqa: ANN401  # JSON
    return DroppedJob("an-id", name, arguments, drop, "KeyError: 'x'")


def test_only_rows_without_a_job_are_put_back(desk: Desk) -> None:
    desk.ledger.enter([order(1).task, order(2).task], VERSION)
    desk.ledger.record(judged(3))
    desk.ledger.record(judged(4))
    desk.now[0] += timedelta(minutes=1)
    redis = Redis(jobs=LiveJobs(frozenset({row_id(1, 1, VERSION)}), frozenset({row_id(1, 3, VERSION)})))
    assert reconcile(desk, redis) == Repairs(enqueued=1, republished=1)
    assert redis.enqueued == [order(2)]
    assert redis.republished == [(1, 4, VERSION)]


def test_what_was_cancelled_while_redis_was_down_is_taken_off_the_queue(desk: Desk) -> None:
    desk.ledger.enter([order(1).task, order(2).task], "another version")
    desk.ledger.cancel(1)
    desk.ledger.enter([order(1).task, order(2).task], VERSION)
    rows = [row_id(1, 1, "another version"), *(row_id(1, task, VERSION) for task in (1, 2, 3))]
    redis = Redis(jobs=LiveJobs(frozenset(rows), frozenset()))
    reconcile(desk, redis)
    assert redis.withdrawn == [order(1, "another version")]


def test_an_outcome_on_its_way_is_not_judged_again(desk: Desk) -> None:
    desk.ledger.enter([order().task], VERSION)
    desk.now[0] += timedelta(minutes=1)
    redis = Redis(jobs=LiveJobs(frozenset(), frozenset({row_id(1, 1, VERSION)})))
    assert reconcile(desk, redis) == Repairs()


@pytest.mark.parametrize(("drop", "reason"), [(Drop.ABANDONED, "worker_lost"), (Drop.CRASHED, "crashed")])
def test_a_lost_judge_job_counts_as_a_try(desk: Desk, drop: Drop, reason: str) -> None:
    desk.ledger.enter([order().task], VERSION)
    redis = Redis([dropped(JUDGE, drop, to_json(order()))])
    reconcile(desk, redis)
    assert desk.told() == (State.QUEUED, reason)
    assert redis.lost == []
    entry = desk.ledger.entry(key())
    assert entry is not None
    assert entry.attempts == 1


def test_a_job_that_never_began_is_no_try(desk: Desk) -> None:
    desk.ledger.enter([order().task], VERSION)
    desk.now[0] += timedelta(minutes=1)
    redis = Redis([dropped(JUDGE, Drop.STUCK, to_json(order()))])
    assert reconcile(desk, redis) == Repairs(dropped=1, enqueued=1)
    assert redis.enqueued == [order()]


def test_the_outcome_in_a_lost_publish_job_is_kept(desk: Desk) -> None:
    redis = Redis([dropped(PUBLISH, Drop.ABANDONED, to_json(judged()))])
    reconcile(desk, redis)
    assert desk.told() == (State.JUDGED, "worker_lost")
    assert desk.ledger.judgement(key()) == judged().judgement


def test_the_rows_of_a_batch_whose_publisher_died_are_soon_open_again(desk: Desk) -> None:
    for task in (1, 2):
        desk.ledger.record(judged(task))
    desk.ledger.claim_for_publishing([key(1), key(2)], PUBLISHER)
    redis = Redis(workers=set())
    assert reconcile(desk, redis) == Repairs()  # Label Studio may still be busy with what the dead one sent
    desk.now[0] += pause_after(1)
    assert reconcile(desk, redis) == Repairs(republished=2)
    assert sorted(redis.republished) == [(1, 1, VERSION), (1, 2, VERSION)]


def test_the_rows_of_a_publisher_that_lives_stay_its_own(desk: Desk) -> None:
    desk.ledger.record(judged())
    desk.ledger.claim_for_publishing([key()], PUBLISHER)
    reconcile(desk, Redis())
    desk.now[0] += pause_after(1)
    assert reconcile(desk, Redis()) == Repairs()


def test_write_back_that_crashes_again_and_again_is_given_up_with_its_reason(desk: Desk) -> None:
    desk.ledger.record(judged())
    for _ in range(desk.ledger.max_attempts):
        reconcile(desk, Redis([dropped(REPUBLISH, Drop.CRASHED, 1, 1, VERSION)]))
        assert desk.told() == (State.JUDGED, "crashed")
    reconcile(desk, Redis([dropped(REPUBLISH, Drop.CRASHED, 1, 1, VERSION)]))
    assert desk.told() == (State.FAILED, "crashed")


@pytest.mark.parametrize(("holder", "reason"), [(PUBLISHER, ""), ("publisher-0", "crashed")])
def test_a_crashed_job_ends_the_lease_of_its_own_publisher_only(desk: Desk, holder: str, reason: str) -> None:
    desk.ledger.record(judged())
    desk.ledger.claim_for_publishing([key()], holder)
    crashed = replace(dropped(REPUBLISH, Drop.CRASHED, 1, 1, VERSION), worker="publisher-0")
    reconcile(desk, Redis([crashed], workers={PUBLISHER, "publisher-0"}))
    assert desk.told() == (State.JUDGED, reason)
    assert desk.ledger.holders() == ({holder} if reason == "" else set())


@pytest.mark.parametrize(
    "job",
    [
        dropped("os.system", Drop.CRASHED, "true"),
        dropped(JUDGE, Drop.CRASHED),
        dropped(JUDGE, Drop.CRASHED, {"no": "order"}),
        dropped(REPUBLISH, Drop.CRASHED, 1),
    ],
)
def test_a_job_that_nobody_understands_is_removed(desk: Desk, job: DroppedJob) -> None:
    redis = Redis([job])
    assert reconcile(desk, redis) == Repairs(dropped=1)
    assert redis.lost == []
