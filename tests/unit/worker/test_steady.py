"""A worker and a publisher take neither a job's record in Redis on trust, nor another machine's clock."""

from __future__ import annotations

import json
import signal
import sys
import types
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from rq.executions import Execution
from rq.webhook import Webhook

from backend.queue import Drop, Rescue
from backend.worker.steady import SteadyWorker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rq import Queue
    from rq.job import Job

    from backend.queue import WorkQueue

ROW = (1, 7, "tiny-1")
LONG_AGO, FAR_AHEAD = 1.0, 1e11  # Unix times, as of clocks that are wrong


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What of a job's record was called: its callbacks, that can be imported, and its webhooks."""
    names: list[str] = []
    module = types.ModuleType("anything")
    module.hook = lambda *_: names.append("hook")  # type: ignore[attr-defined]  # a module of this test
    monkeypatch.setitem(sys.modules, "anything", module)
    monkeypatch.setattr(Webhook, "send", lambda *_, **__: names.append("webhook"))
    return names


def worker_of(queue: WorkQueue, error: Exception | None = None) -> SteadyWorker:
    """A publisher whose job ends well, or with the error."""

    def handle(*_: object) -> None:
        if error is not None:
            raise error

    return SteadyWorker(queue.publishing, {"republish": handle}, maintenance_interval_s=1, name="worker-1")


class StoppedAtBirth(SteadyWorker):
    """A worker that somebody stops at the very moment at which it becomes known."""

    def register_birth(self) -> None:
        """Be known, and be stopped."""
        super().register_birth()
        signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def signals() -> Iterator[None]:
    """The process's own handlers afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_worker_that_is_stopped_while_it_begins_ends_well_and_is_forgotten(redis_queue: WorkQueue) -> None:
    StoppedAtBirth(redis_queue.publishing, {}, maintenance_interval_s=1).run()
    assert redis_queue.workers() == []


def taken(
    queue: WorkQueue, worker: SteadyWorker, fields: Mapping[str, str] = MappingProxyType({})
) -> tuple[Job, Queue]:
    """A job that the worker has just taken, with these fields in its record."""
    queue.republish([ROW])
    [identity] = queue.publishing.get_job_ids()
    for name, value in fields.items():
        queue.connection.hset(queue.publishing.job_class.key_for(identity), name, value)
    found = worker.dequeue_job_and_maintain_ttl(1)
    assert found is not None
    return found


def record() -> dict[str, str]:
    """What anyone who may write to Redis can put there."""
    hooks = [{"url": "http://anywhere/", "job_status": status} for status in ("finished", "failed")]
    names = {f"{event}_callback_name": "anything.hook" for event in ("success", "failure", "stopped")}
    return {**names, "webhooks": json.dumps(hooks)}


@pytest.mark.parametrize("error", [None, KeyError("x")])
def test_a_job_calls_nothing_that_its_record_names(
    redis_queue: WorkQueue, called: list[str], error: Exception | None
) -> None:
    worker = worker_of(redis_queue, error)
    job, queue = taken(redis_queue, worker, record())
    worker.execute_job(job, queue)
    assert len(list(Rescue(redis_queue).dropped())) == (error is not None)
    assert called == []


def test_a_lost_job_calls_nothing_that_its_record_names(redis_queue: WorkQueue, called: list[str]) -> None:
    worker = worker_of(redis_queue)
    job = running(redis_queue, worker, record())
    redis_queue.connection.delete(execution_of(redis_queue, job).key)
    assert [one.drop for one in Rescue(redis_queue).dropped()] == [Drop.ABANDONED]
    assert called == []


def test_a_job_stuck_on_its_way_calls_nothing_that_its_record_names(redis_queue: WorkQueue, called: list[str]) -> None:
    worker = worker_of(redis_queue)
    job, _ = taken(redis_queue, worker, record())
    way = redis_queue.publishing.intermediate_queue
    redis_queue.connection.set(way.get_first_seen_key(job.id), LONG_AGO)
    way.cleanup(worker, redis_queue.publishing)
    assert [one.drop for one in Rescue(redis_queue).dropped()] == [Drop.STUCK]
    assert called == []


def running(queue: WorkQueue, worker: SteadyWorker, fields: Mapping[str, str] = MappingProxyType({})) -> Job:
    """A job that the worker has begun."""
    job, _ = taken(queue, worker, fields)
    worker.prepare_execution(job)
    worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
    return job


def execution_of(queue: WorkQueue, job: Job) -> Execution:
    """The job's run, whose key Redis lets expire when the worker beats no more."""
    [(identity, name)] = queue.publishing.started_job_registry.get_job_and_execution_ids(cleanup=False)
    assert identity == job.id
    return Execution(name, identity, queue.connection)


def tell(queue: WorkQueue, job: Job, time: float) -> None:
    """Have the running job's worker write times of a clock that is wrong."""
    run = execution_of(queue, job)
    queue.connection.zadd(queue.publishing.started_job_registry.key, {run.composite_key: time}, xx=True)


def test_a_job_lives_as_long_as_redis_keeps_its_execution_whatever_clock_its_worker_has(
    redis_queue: WorkQueue,
) -> None:
    worker = worker_of(redis_queue)
    job = running(redis_queue, worker)
    tell(redis_queue, job, LONG_AGO)
    worker_of(redis_queue).clean_registries()
    assert list(Rescue(redis_queue).dropped()) == []
    assert redis_queue.counts().publishing == 1
    assert len(Rescue(redis_queue).live().publishing) == 1
    assert 0 < redis_queue.connection.ttl(execution_of(redis_queue, job).key) <= SteadyWorker.beat_ttl_s


@pytest.mark.parametrize("time", [LONG_AGO, FAR_AHEAD])
def test_a_job_without_its_execution_is_lost_whatever_clock_its_worker_had(redis_queue: WorkQueue, time: float) -> None:
    job = running(redis_queue, worker_of(redis_queue))
    tell(redis_queue, job, time)
    redis_queue.connection.delete(execution_of(redis_queue, job).key)
    rescue = Rescue(redis_queue)
    [lost] = rescue.dropped()
    assert (lost.id, lost.drop, lost.worker) == (job.id, Drop.ABANDONED, "worker-1")
    assert redis_queue.counts().publishing == 0
    rescue.settle(lost)
    assert list(rescue.dropped()) == []
    assert rescue.live().publishing == frozenset()


def test_a_settled_job_leaves_no_run_behind_whatever_clock_its_worker_had(redis_queue: WorkQueue) -> None:
    job = running(redis_queue, worker_of(redis_queue))
    redis_queue.connection.zadd(job.execution_registry.key, {execution_of(redis_queue, job).id: LONG_AGO}, xx=True)
    rescue = Rescue(redis_queue)
    redis_queue.publishing.failed_job_registry.add(job, 60)
    [failed] = rescue.dropped()
    rescue.settle(failed)
    assert redis_queue.publishing.started_job_registry.get_job_ids(cleanup=False) == []
