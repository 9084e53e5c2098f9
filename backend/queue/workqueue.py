"""Redis and RQ: what waits, who works, and the way in. Plain JSON everywhere, never pickle.

A judge job carries an order, a publish job an outcome, a republish job just a row's key.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.worker_registration import get_keys

from backend.errors import QueueError, SettingsError
from backend.queue.names import (
    ALIVE,
    JUDGE,
    PUBLISH,
    REPUBLISH,
    alive_key,
    job_id,
    judge_id,
    judge_queue,
    version_in,
)
from backend.queue.plain import PlainQueue
from backend.queue.records import QueueCounts, name_of, worker_of
from backend.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from backend.queue.records import WorkerInfo
    from backend.settings import Settings
    from backend.wire import Order, Outcome

BATCH = 1000  # jobs per round trip
PUBLISH_TIMEOUT_S = 900  # Label Studio is given 300 s for a batch; what it drops of that is sent one by one after it
# One step for Redis: a job is either still in the queue or was never begun. Removing them one by one would look through
# the whole queue for each. KEYS: the queue; ARGV: what job keys begin with, then what the ids of the jobs begin with.
WITHDRAW = """
local withdrawn = 0
local waiting = redis.call('LRANGE', KEYS[1], 0, -1)
local kept = {}
for _, id in ipairs(waiting) do
  local keep = true
  for number = 2, #ARGV do
    if string.sub(id, 1, #ARGV[number]) == ARGV[number] then keep = false end
  end
  if keep then
    kept[#kept + 1] = id
  else
    redis.call('DEL', ARGV[1] .. id)
    withdrawn = withdrawn + 1
  end
end
if withdrawn > 0 then
  redis.call('DEL', KEYS[1])
  for _, id in ipairs(kept) do redis.call('RPUSH', KEYS[1], id) end
end
return withdrawn
"""


class WorkQueue:
    """The queues behind one Redis. Every method raises `QueueError` when Redis cannot be used."""

    def __init__(self, connection: Redis, *, judge_timeout_s: int) -> None:
        self.connection = connection
        self._judge_timeout_s = judge_timeout_s
        self.publishing = PlainQueue(
            PUBLISH, connection=connection, serializer=JSONSerializer, default_timeout=PUBLISH_TIMEOUT_S
        )

    @classmethod
    def connect(cls, settings: Settings) -> WorkQueue:
        """The queues at REDIS_URL, for a process that must answer quickly; nothing is sent yet.

        Raises:
            SettingsError: REDIS_URL is not one.
        """
        quick = Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.05), retries=1)
        connection = _connect(settings, retry=quick, socket_connect_timeout=1.0, socket_timeout=5.0)
        return cls(connection, judge_timeout_s=settings.job_timeout_s)

    @classmethod
    def connect_patiently(cls, settings: Settings) -> WorkQueue:
        """The same for a worker, which would rather wait about a minute for Redis than drop what it has worked out."""
        patient = Retry(ExponentialWithJitterBackoff(cap=5.0, base=0.1), retries=20)
        connection = _connect(settings, retry=patient, socket_connect_timeout=5.0)
        return cls(connection, judge_timeout_s=settings.job_timeout_s)

    def judging(self, model_version: str) -> PlainQueue:
        """The queue of the orders for one model version."""
        return PlainQueue(
            judge_queue(model_version),
            connection=self.connection,
            serializer=JSONSerializer,
            default_timeout=self._judge_timeout_s,
        )

    def all_judging(self) -> list[PlainQueue]:
        """The queues of every model version that has or had orders or a worker, by name."""
        with mapped_errors():
            keys = [as_text(key) for key in self.connection.smembers(PlainQueue.redis_queues_keys)]
        names = sorted(key.removeprefix(PlainQueue.redis_queue_namespace_prefix) for key in keys)
        versions = [version_in(name) for name in names]
        return [self.judging(version) for version in versions if version is not None]

    def enqueue(self, orders: Iterable[Order], *, at_front: bool = False) -> None:
        """Have these orders judged, in this order; `at_front` before everything that waits for their version."""
        jobs: dict[str, dict[str, tuple[Any, ...]]] = defaultdict(dict)
        for order in orders:
            jobs[order.model_version][judge_id(order.task, order.model_version)] = (to_json(order),)
        for version, of_version in jobs.items():
            self._push(self.judging(version), JUDGE, of_version, at_front=at_front)

    def promote(self, orders: Iterable[Order]) -> int:
        """Put those of the orders that wait before all others; the answer is how many did.

        What is not waiting (being judged, done, or never entered) is left alone.
        """
        moved = 0
        with mapped_errors():
            for order in orders:
                name, queue = judge_id(order.task, order.model_version), self.judging(order.model_version)
                if queue.remove(name):
                    # Were this process to die right here, reconciling would miss the job and enqueue it again.
                    queue.push_job_id(name, at_front=True)
                    moved += 1
        return moved

    def withdraw(self, orders: Iterable[Order]) -> int:
        """Take those of the orders that wait off the queue; the answer is how many did."""
        withdrawn = 0
        with mapped_errors():
            for order in orders:
                name, queue = judge_id(order.task, order.model_version), self.judging(order.model_version)
                if queue.remove(name):
                    self.connection.delete(queue.job_class.key_for(name))
                    withdrawn += 1
        return withdrawn

    def withdraw_projects(self, projects: Collection[int] | None) -> int:
        """Take whatever waits of these projects, or of all, off the queue; the answer is how many jobs."""
        begins = [f"{JUDGE}-"] if projects is None else [f"{JUDGE}-{project}-" for project in sorted(projects)]
        if not begins:
            return 0
        with mapped_errors():
            script = self.connection.register_script(WITHDRAW)
            return sum(
                int(script(keys=[queue.key], args=[queue.job_class.key_for(""), *begins]))
                for queue in self.all_judging()
            )

    def publish(self, outcome: Outcome) -> None:
        """Hand what came of an order to the publisher."""
        name = job_id(PUBLISH, outcome.order.task.project, outcome.order.task.task, outcome.order.model_version)
        self._push(self.publishing, PUBLISH, {name: (to_json(outcome),)})

    def republish(self, rows: Iterable[tuple[int, int, str]]) -> None:
        """Have rows (project, task, model version) written back that are judged already."""
        self._push(self.publishing, REPUBLISH, {job_id(REPUBLISH, *row): row for row in rows})

    def counts(self) -> QueueCounts:
        """What waits and what runs."""
        judging = self.all_judging()
        with mapped_errors(), self.connection.pipeline(transaction=False) as pipe:
            for queue in (*judging, self.publishing):
                pipe.llen(queue.key)
                pipe.zcard(queue.started_job_registry.key)
            answers = pipe.execute()
        *waiting, publish_waiting = answers[::2]
        *running, publishing = answers[1::2]
        versions = (version_in(queue.name) or "" for queue in judging)
        return QueueCounts(dict(zip(versions, waiting, strict=True)), sum(running), publish_waiting, publishing)

    def alive(self) -> set[str]:
        """The names of the workers whose heart beats."""
        with mapped_errors():
            return {as_text(key).removeprefix(ALIVE) for key in self.connection.scan_iter(f"{ALIVE}*", count=BATCH)}

    def workers(self) -> list[WorkerInfo]:
        """The processes whose heart beats, judges first, by name; one that was killed goes within half a minute."""
        with mapped_errors(), self.connection.pipeline(transaction=False) as pipe:
            keys = sorted(get_keys(connection=self.connection))
            for key in keys:
                pipe.exists(alive_key(name_of(key)))
                pipe.hgetall(key)
                pipe.smembers(f"{key}:executions")
            answers = pipe.execute()
        states = zip(keys, answers[::3], answers[1::3], answers[2::3], strict=True)
        found = [worker_of(key, fields, running) for key, alive, fields, running in states if alive and fields]
        return sorted(found, key=lambda worker: (worker.role != JUDGE, worker.name))

    def _push(
        self, queue: PlainQueue, name: str, jobs: Mapping[str, tuple[Any, ...]], *, at_front: bool = False
    ) -> None:
        items = list(jobs.items())
        remaining = iter(reversed(items) if at_front else items)
        with mapped_errors():
            while batch := list(islice(remaining, BATCH)):
                # result_ttl=0: a finished job leaves nothing behind, and a second entry of the same id is passed over.
                queue.enqueue_many(
                    PlainQueue.prepare_data(
                        name, args, job_id=identity, description=identity, result_ttl=0, at_front=at_front
                    )
                    for identity, args in batch
                )


@contextmanager
def mapped_errors() -> Iterator[None]:
    """The one place where Redis' errors become ours."""
    try:
        yield
    except (RedisError, OSError) as error:
        said = str(error).rstrip(".")
        raise QueueError(
            f"Redis cannot be used: {said}. Check REDIS_URL and that Redis runs with maxmemory-policy noeviction."
        ) from None


def _connect(settings: Settings, **options: Any) -> Redis:  # noqa: ANN401  # the client's own options
    try:
        return Redis.from_url(settings.redis_url.get_secret_value(), health_check_interval=30, **options)
    except ValueError:  # its text may quote the password: one with a slash ends the address early
        raise SettingsError(
            "REDIS_URL is no address of a Redis, such as redis://:password@127.0.0.1:6379/0 (or rediss://, unix://). "
            "In the password write / as %2F, @ as %40, : as %3A, # as %23, ? as %3F and % as %25."
        ) from None
