"""A steady worker that runs several jobs at once, each in a thread, around what they share: the model.

To Redis it is one worker with several executions. Every job has what a single one would have: a heartbeat, a time-out
that ends it alone, a watchdog that ends the process when the time-out does not help, and the way back to its queue.
"""

from __future__ import annotations

import faulthandler
import logging
import threading
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.timeouts import TimerDeathPenalty
from rq.worker import WorkerStatus

from backend.log import line
from backend.worker.steady import SteadyWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from redis.client import Pipeline
    from rq import Queue
    from rq.executions import Execution
    from rq.job import Job

logger = logging.getLogger(__name__)

WAKE_S = 1.0  # a full worker looks so often for signals and maintenance
SOON_S = 0.001  # the least that the watchdog can be told


class ParallelWorker(SteadyWorker):
    """Runs up to `places` jobs of one queue at once.

    A job that `alone` picks out shares the process with no other: one that may have killed a process before is not to
    take others with it again.
    """

    death_penalty_class = TimerDeathPenalty  # a signal would reach the main thread only

    def __init__(
        self,
        queue: Queue,
        handlers: Mapping[str, Callable[..., None]],
        *,
        places: int,
        maintenance_interval_s: float,
        alone: Callable[[Job], bool] = lambda _job: False,
        facts: Mapping[str, str] | None = None,
        measure: Callable[[], Mapping[str, str]] = dict,
        name: str | None = None,
    ) -> None:
        super().__init__(
            queue, handlers, maintenance_interval_s=maintenance_interval_s, facts=facts, measure=measure, name=name
        )
        self._places = places
        self._alone = alone
        self._changed = threading.Condition(threading.RLock())  # guards what follows, and `_running`
        self._deadlines: dict[str, float] = {}
        self._draining = ""  # until nothing runs: the id of the job at the front, which is to be alone
        self._lonely = False  # while it runs

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job, once there is a place for it: taken sooner, it would wait here while another worker is free."""
        while not self._stop_requested:
            if not self._finds_a_place():
                continue
            # Never interrupted by a signal, because an order that is just being taken would be stuck for minutes.
            found: tuple[Job, Queue] | None = super().dequeue_job_and_maintain_ttl(1, max_idle_time=1)
            if found is None:
                continue
            if not (self._stop_requested or self._must_wait(found[0])):
                return found
            self._put_back(*found)
        raise StopRequested

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Start one job in a thread of its own."""
        execution = self.prepare_execution(job)
        limit = int(job.timeout or queue.DEFAULT_TIMEOUT) + self.hang_grace_s
        with self._changed:
            self._running[execution.id] = (job, execution)
            self._deadlines[execution.id] = time.monotonic() + limit
            self._watch()
        threading.Thread(target=self._perform, args=(job, queue, execution), name=job.id, daemon=True).start()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """What the worker does now; it waits for jobs also while some run."""
        busy = state == WorkerStatus.IDLE and bool(self._running)
        super().set_state(WorkerStatus.BUSY if busy else state, pipeline)

    def teardown(self) -> None:
        """Let what runs end, or be handed back; then be forgotten."""
        with self._changed:
            while self._running:
                self._changed.wait(WAKE_S)
        super().teardown()  # type: ignore[no-untyped-call]  # RQ types it not yet

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Hand what runs back at once, and end."""
        super().request_force_stop(signum, frame)
        raise SystemExit

    def _shutdown(self) -> None:
        """On SIGTERM: take no more jobs."""
        self._stop_requested = True

    def _finds_a_place(self) -> bool:
        """Whether there is one now or soon."""
        with self._changed:
            if not self._has_place():
                self._changed.wait(WAKE_S)
            awaited = self._draining
        # Asked without the lock, because Redis may be away for a while. Another worker that was idle has taken it.
        gone = bool(awaited) and not self._is_at_front(awaited)
        with self._changed:
            if gone:
                self._draining = ""
            found = self._has_place()
            if found:
                self._draining = ""
        if not found and self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()  # type: ignore[no-untyped-call]  # RQ types it not yet
        return found

    def _has_place(self) -> bool:
        if self._draining:
            return not self._running
        return not self._lonely and len(self._running) < self._places

    def _is_at_front(self, identity: str) -> bool:
        try:
            return self.connection.lindex(self.queues[0].key, 0) == identity.encode()
        except RedisError:
            return True  # to be asked again

    def _must_wait(self, job: Job) -> bool:
        """Whether a job is to be alone and is not yet."""
        if not self._alone(job):
            return False
        with self._changed:
            self._draining = job.id if self._running else ""
            self._lonely = not self._running
            return bool(self._draining)

    def _put_back(self, job: Job, queue: Queue) -> None:
        """To the front of its queue, where this worker takes it again when all else is done, or another does before."""
        taken = queue.intermediate_queue
        with self.connection.pipeline() as pipe:
            queue.push_job_id(job.id, pipeline=pipe, at_front=True)
            pipe.lrem(taken.key, 1, job.id)
            pipe.delete(taken.get_first_seen_key(job.id))
            pipe.execute()

    def _perform(self, job: Job, queue: Queue, execution: Execution) -> None:
        try:
            self.perform_job(job, queue, execution)
        except (RedisError, OSError) as error:  # without a heartbeat it will be found and judged again
            logger.warning(line("not finished", worker=self.name, id=job.id, error=error))
        finally:
            with self._changed:
                del self._running[execution.id], self._deadlines[execution.id]
                self._measure_again()
                self._lonely = False
                self._watch()
                self._changed.notify_all()

    def _watch(self) -> None:
        """Have the process ended, from outside Python, when a job has outlived its time-out and a grace."""
        if self._deadlines:
            left = min(self._deadlines.values()) - time.monotonic()
            faulthandler.dump_traceback_later(max(left, SOON_S), exit=True)
        else:
            faulthandler.cancel_dump_traceback_later()
