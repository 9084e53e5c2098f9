"""RQ's job, queue and registry, without what they take on trust.

RQ imports and calls whatever callbacks a job's record in Redis names, posts to the webhooks in it, and holds times of
one machine's clock against another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.registry import StartedJobRegistry

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rq.job import JobStatus

LOST = 0.0  # a time before any that a worker writes


class PlainJob(Job):
    """A job that calls nothing when it has ended, whatever its record says; we ask RQ for no callbacks."""

    @property
    def success_callback(self) -> None:
        """Nothing."""

    @property
    def failure_callback(self) -> None:
        """Nothing."""

    @property
    def stopped_callback(self) -> None:
        """Nothing."""

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """Send none."""


class RunningJobs(StartedJobRegistry):
    """The jobs that run. One is lost when Redis has let the key of its execution expire, by Redis' own clock."""

    def cleanup(
        self, timestamp: float | None = None, exception_handlers: list[Callable[..., Any]] | None = None
    ) -> None:
        """Have RQ fail the jobs that no worker keeps alive any more; `timestamp` says nothing here."""
        names = self.get_job_and_execution_ids(cleanup=False)
        runs = [Execution(execution, job, self.connection) for job, execution in names]
        with self.connection.pipeline(transaction=False) as pipe:
            for run in runs:
                pipe.exists(run.key)
            kept = pipe.execute()
        lost = {run.composite_key: LOST for run, alive in zip(runs, kept, strict=True) if not alive}
        if lost:
            # RQ takes all up to a time. A job that ends, or whose worker is back, in between is not among them.
            self.connection.zadd(self.key, lost, xx=True)
            super().cleanup(LOST, exception_handlers)

    def get_queue(self) -> PlainQueue:
        """The queue whose jobs these are."""
        return PlainQueue(self.name, self.connection, job_class=self.job_class, serializer=self.serializer)


class PlainQueue(Queue):
    """A queue of such jobs."""

    job_class = PlainJob

    @property
    def started_job_registry(self) -> RunningJobs:
        """The queue's jobs that run."""
        return RunningJobs(queue=self, job_class=self.job_class, serializer=self.serializer)
