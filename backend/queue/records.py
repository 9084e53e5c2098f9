"""What is known of the queues and of who works on them, as of one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rq.worker.base import BaseWorker

from backend.queue.names import JUDGE, place_in, role_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs wait and run right now; `waiting` to be judged by model version, also those that have none left."""

    waiting: Mapping[str, int]
    judging: int
    publish_waiting: int
    publishing: int

    @property
    def judge_waiting(self) -> int:
        """To be judged, of every model version."""
        return sum(self.waiting.values())

    def without_worker(self, workers: Iterable[WorkerInfo]) -> dict[str, int]:
        """How many wait for each model version of which no worker is alive; they wait until one comes."""
        served = {worker.model_version for worker in workers if worker.role == JUDGE}
        return {version: count for version, count in self.waiting.items() if count and version not in served}


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One live worker process; its `role` is `judge` or `publish`.

    `tasks` are those that it has now, each a project and a task.
    `memory_free` and `memory_total` are its GPU's, in bytes, as of its latest job; None without one of its own.
    `task` is the first of `tasks`, None where there is none.
    """

    name: str
    role: str
    state: str
    model_version: str
    device: str
    tasks: tuple[tuple[int, int], ...]
    started: datetime | None
    heartbeat: datetime | None
    memory_free: int | None = None
    memory_total: int | None = None

    @property
    def task(self) -> int | None:
        """The first task."""
        return self.tasks[0][1] if self.tasks else None


def worker_of(key: str, fields: Mapping[bytes, bytes], running: Iterable[bytes]) -> WorkerInfo:
    """From the hash that RQ keeps per worker, with what our workers add to it."""
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return WorkerInfo(
        name=name_of(key),
        role=role_in(text.get("queues", "")),
        state=text.get("state", ""),
        model_version=text.get("model_version", ""),
        device=text.get("device", ""),
        tasks=tuple(sorted(place for job in running if (place := place_in(job.decode())))),
        started=_time(text.get("birth")),
        heartbeat=_time(text.get("last_heartbeat")),
        memory_free=_bytes(text.get("memory_free")),
        memory_total=_bytes(text.get("memory_total")),
    )


def name_of(key: str) -> str:
    """A worker's name, from the key that RQ keeps it under."""
    return key.removeprefix(BaseWorker.redis_worker_namespace_prefix)


def _bytes(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _time(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
