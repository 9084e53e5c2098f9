"""What Redis knows about jobs that went wrong, and which jobs it still has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rq.exceptions import AbandonedJobError, DeserializationError
from rq.executions import Execution, ExecutionRegistry
from rq.results import Result

from backend.queue.names import row_in
from backend.queue.workqueue import mapped_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rq.job import Job

    from backend.queue.plain import PlainQueue
    from backend.queue.workqueue import WorkQueue

STUCK = "stuck in intermediate queue"  # RQ's words for a job whose worker died while taking it


class Drop(StrEnum):
    """How a job ended: its process died while taking it, or while running it, or the job raised."""

    STUCK = "stuck"
    ABANDONED = "abandoned"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class DroppedJob:
    """A job that RQ has given up; `arguments` as they were enqueued, `error` the last line of what was raised.

    `worker` is the name of the one that had it, "" where none began it.
    """

    id: str
    name: str
    arguments: tuple[Any, ...]
    drop: Drop
    error: str
    worker: str = ""


@dataclass(frozen=True, slots=True)
class LiveJobs:
    """The rows (`names.row_id`) that have a job somewhere in Redis."""

    judging: frozenset[str]
    publishing: frozenset[str]


class Rescue:
    """Finds what was lost. Keeping track is RQ's own doing: heartbeats, registries, the intermediate queue."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._connection = queue.connection

    def dropped(self) -> Iterator[DroppedJob]:
        """Jobs whose worker died or which raised; each stays until it is settled."""
        for queue in self._queues():
            with mapped_errors():
                queue.started_job_registry.cleanup()  # moves lost jobs to the failed ones
                ids = queue.failed_job_registry.get_job_ids(cleanup=False)
                jobs = queue.job_class.fetch_many(ids, connection=self._connection, serializer=queue.serializer)
            for identity, job in zip(ids, jobs, strict=True):
                if job is None:
                    self._forget(queue, identity)
                else:
                    with mapped_errors():
                        found = _dropped(job)
                    yield found

    def settle(self, dropped: DroppedJob) -> None:
        """Remove every trace of a job, so that one of the same id starts afresh."""
        for queue in self._queues():
            self._forget(queue, dropped.id)

    def live(self) -> LiveJobs:
        """Rows with a job that waits, runs, or is still to be settled.

        The places are read in the order in which a job passes them, so a job that moves on meanwhile is not missed.
        """
        judging = frozenset(row_in(job) for queue in self._queue.all_judging() for job in self._places(queue))
        return LiveJobs(judging, frozenset(row_in(job) for job in self._places(self._queue.publishing)))

    def _queues(self) -> list[PlainQueue]:
        return [*self._queue.all_judging(), self._queue.publishing]

    def _places(self, queue: PlainQueue) -> list[str]:
        with mapped_errors():
            return [
                *queue.get_job_ids(),
                *queue.intermediate_queue.get_job_ids(),
                *queue.started_job_registry.get_job_ids(cleanup=False),
                *queue.failed_job_registry.get_job_ids(cleanup=False),
            ]

    def _forget(self, queue: PlainQueue, identity: str) -> None:
        """RQ's own `Job.delete` stumbles over executions whose heartbeat has expired, and that is the usual case."""
        with mapped_errors():
            executions = ExecutionRegistry(identity, connection=self._connection)
            names = executions.get_job_ids(cleanup=False)  # the registry's own way drops what is old by this clock
            runs = [Execution(name, identity, connection=self._connection) for name in names]
            with self._connection.pipeline() as pipe:
                queue.failed_job_registry.remove(identity, pipeline=pipe)
                for run in runs:
                    queue.started_job_registry.remove_execution(run, pipeline=pipe)
                    pipe.delete(run.key)
                results: str = Result.get_key(identity)  # type: ignore[no-untyped-call]  # RQ types it not yet
                pipe.delete(queue.job_class.key_for(identity), results, executions.key)
                pipe.execute()


def _dropped(job: Job) -> DroppedJob:
    result = job.latest_result()
    lines = ((result.exc_string if result else "") or "").strip().splitlines()
    error = lines[-1] if lines else "no reason was left behind"
    drop = Drop.CRASHED
    if AbandonedJobError.__name__ in error:
        drop = Drop.ABANDONED
    elif STUCK in error:
        drop = Drop.STUCK
    try:
        name, arguments = job.func_name or "", tuple(job.args)
    except DeserializationError:  # someone else's job
        name, arguments = "", ()
    return DroppedJob(job.id, name, arguments, drop, error, job.worker_name or "")
