"""A worker that keeps what it has loaded, shows that it is alive, and dies when it hangs.

RQ's default worker forks for each job, which would load the weights each time. Its `SimpleWorker` does not, but then
beats only between jobs and lets a hung job run for ever; what is missing is added here.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus
from rq.worker_registration import clean_worker_registry, register

from backend.errors import QueueError
from backend.log import line
from backend.queue.names import alive_key
from backend.queue.plain import PlainJob, PlainQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from redis.client import Pipeline
    from rq import Queue
    from rq.executions import Execution
    from rq.job import Job

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 5  # on an empty queue, before maintenance is looked at again
WORKER_TTL_S = 60


def job_class_of(handlers: Mapping[str, Callable[..., None]]) -> type[PlainJob]:
    """RQ jobs that call one of `handlers` by name, where RQ would import whatever dotted name it finds in Redis.

    The handlers carry what was loaded once, so nothing has to be kept in a module.
    """

    class HandlerJob(PlainJob):
        @property
        def func(self) -> Callable[..., None]:
            """The handler that the job names."""
            name = self.func_name or ""
            if name not in handlers:
                raise QueueError(f"There is no job {name!r} here, only {', '.join(handlers)}.")
            return handlers[name]

        def delete(
            self, pipeline: Pipeline | None = None, remove_from_queue: bool = True, delete_dependents: bool = False
        ) -> None:
            """Forget a finished job; RQ would stumble over a run of it that was lost and left half a record."""
            self.connection.delete(self.execution_registry.key)
            super().delete(pipeline, remove_from_queue, delete_dependents)

    return HandlerJob


def worker_name() -> str:
    """A name that tells people where a worker runs, and that no other worker ever had."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class SteadyWorker(SimpleWorker):
    """Runs jobs of one queue in this process, one at a time, with a heartbeat of its own.

    One queue only: then RQ takes jobs by BLMOVE, which loses none on a crash. `facts` are shown on the status page, and
    with them what `measure` gives, which is asked at the start and after each job.
    """

    queue_class = PlainQueue
    beat_s = 5
    beat_ttl_s = 25  # so long after its last beat a job counts as abandoned
    hang_grace_s = 30  # after the job's own time-out, which cannot break a hung CUDA call
    hand_back_s = 5  # after SIGTERM; below the 10 s that Docker waits before it kills

    def __init__(
        self,
        queue: Queue,
        handlers: Mapping[str, Callable[..., None]],
        *,
        maintenance_interval_s: float,
        facts: Mapping[str, str] | None = None,
        measure: Callable[[], Mapping[str, str]] = dict,
        name: str | None = None,
    ) -> None:
        self._measure = measure
        self._facts = {**(facts or {}), **measure()}
        self._maintenance_s = maintenance_interval_s
        self._running: dict[str, tuple[Job, Execution]] = {}  # by the execution's id, in the order of starting
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        super().__init__(
            [queue.name],
            name=name or worker_name(),
            connection=queue.connection,
            job_class=job_class_of(handlers),
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            job_monitoring_interval=self.beat_s,
            maintenance_interval=max(1, int(maintenance_interval_s)),
            log_job_description=False,
        )

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            QueueError: it ended without being asked to; a supervisor should start it again.
        """
        # RQ does so after the birth only: whoever is stopped in between would just vanish.
        self._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ types it not yet
        try:
            self.work()
        except StopRequested:
            self.register_death()
        except (RedisError, OSError) as error:
            raise QueueError(f"Redis cannot be used: {error}. Check REDIS_URL and that Redis runs.") from None
        if self._shutdown_requested_date is None:
            raise QueueError("The worker lost Redis and has stopped; start it again.")

    @property
    def dequeue_timeout(self) -> int:
        """Seconds to wait on an empty queue: short, because maintenance runs in between."""
        return max(1, min(LONGEST_WAIT_S, int(self._maintenance_s)))

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds without a beat after which the job counts as abandoned, however long it may run."""
        return self.beat_ttl_s

    def serialize(self) -> dict[Any, Any]:
        """What Redis holds about this worker."""
        return {**super().serialize(), **self._facts, "state": self.get_state()}

    def clean_registries(self) -> None:
        """Forget dead workers. Jobs are the publishers' business: RQ would hold their times against this clock."""
        for queue in self.queues:
            clean_worker_registry(queue)
        self.last_cleaned_at = now()  # type: ignore[assignment]  # RQ types it not yet

    def register_birth(self) -> None:
        """Be known from here on."""
        super().register_birth()  # type: ignore[no-untyped-call]  # RQ types it not yet
        self.connection.set(alive_key(self.name), 1, ex=self.beat_ttl_s)
        self._heart.start()

    def register_death(self) -> None:
        """Be forgotten; the heart stops first, because it would make this worker known again."""
        self._stopped.set()
        if self._heart.is_alive():
            self._heart.join(self.beat_s)
        self.connection.delete(alive_key(self.name))
        super().register_death()  # type: ignore[no-untyped-call]  # RQ types it not yet

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job, while the heartbeat says so and a watchdog waits.

        The watchdog is a thread of the C library that needs no Python: a call that hangs while it holds the
        interpreter's lock is ended too, with a trace of where it hung.
        """
        execution = self.prepare_execution(job)
        self._running[execution.id] = (job, execution)
        limit = int(job.timeout or queue.DEFAULT_TIMEOUT) + self.hang_grace_s
        faulthandler.dump_traceback_later(limit, exit=True)
        try:
            self.perform_job(job, queue, execution)
        finally:
            faulthandler.cancel_dump_traceback_later()
            del self._running[execution.id]
            self._measure_again()
        self.set_state(WorkerStatus.IDLE)

    def _measure_again(self) -> None:
        """To be called when a job has ended."""
        self._facts = {**self._facts, **self._measure()}

    def handle_warm_shutdown_request(self) -> None:
        """Finish what runs if that is quick, else hand it back."""
        timer = threading.Timer(self.hand_back_s, self._hand_back)
        timer.daemon = True
        timer.start()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Hand what runs back at once: the second signal is from someone in a hurry."""
        self._hand_back()

    def _beat(self) -> None:
        """Say that this process is there, busy or not; all of it, because Redis may have been emptied."""
        while not self._stopped.wait(self.beat_s):
            try:
                for job, execution in list(self._running.values()):
                    self.maintain_heartbeats(job, execution)
                with self.connection.pipeline() as pipe:
                    self.heartbeat(pipeline=pipe)
                    pipe.hset(self.key, mapping=self.serialize())
                    register(self, pipe)
                    pipe.sadd(self.queues[0].redis_queues_keys, self.queues[0].key)  # what runs here is found by it
                    pipe.set(alive_key(self.name), 1, ex=self.beat_ttl_s)
                    pipe.execute()
            except (RedisError, OSError) as error:
                logger.warning(line("no heartbeat", worker=self.name, error=error))

    def _hand_back(self) -> None:
        """Put what runs back to the front of its queue, uncounted and in its order, and end this process."""
        running = list(self._running.values())
        if not running:
            return
        for job, execution in reversed(running):
            self._give_up(job, execution)
        self.register_death()
        logger.info(line("handed back", worker=self.name, ids=",".join(job.id for job, _ in running)))
        logging.shutdown()
        os._exit(0)  # other threads may be deep inside a CUDA call

    def _give_up(self, job: Job, execution: Execution) -> None:
        def back_to_the_front(pipe: Pipeline) -> None:
            if not pipe.exists(job.key):
                return  # it was finished in this moment
            pipe.multi()  # from here on all or nothing, and nothing when the job changes meanwhile
            execution.delete(job=job, pipeline=pipe)
            job.set_status(JobStatus.QUEUED, pipeline=pipe)
            self.queues[0].push_job_id(job.id, pipeline=pipe, at_front=True)

        self.connection.transaction(back_to_the_front, job.key)
