"""What Label Studio sends, and a queue that takes it: shared by the tests of the web process."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import QueueError
from backend.queue import QueueCounts, WorkerInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from backend.wire import Order

PAYLOADS = Path(__file__).parents[1] / "payloads"
CONFIG: str = json.loads((PAYLOADS / "setup.json").read_text())["schema"]


def payload(name: str) -> dict[str, Any]:
    """The body of a request that Label Studio 1.23.2 sent; the labeling config is shortened to what is needed."""
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return body


def task(number: object, **data: object) -> dict[str, Any]:
    """A task as it stands in /predict."""
    videos = {"video1": f"/data/{number}_a.mp4", "video2": f"/data/{number}_b.mp4"}
    return {"id": number, "project": 7, "data": {**videos, "prompt": "a red panda", **data}}


class FakeQueue:
    """A queue that remembers places, (project, task), all of version `tiny-1`; `foreign` counts those of others.

    `broken` makes it refuse like a Redis that is down.
    """

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []
        self.foreign: dict[str, int] = {}
        self.live: list[WorkerInfo] = []
        self.broken = False

    @property
    def waiting(self) -> list[int]:
        """The ids of the tasks in their order, of whichever project; a list of its own."""
        return [task for _project, task in self.places]

    def enqueue(self, orders: Iterable[Order], *, at_front: bool = False) -> None:
        self._check()
        new = [(order.task.project, order.task.task) for order in orders]
        self.places = [*new, *self.places] if at_front else [*self.places, *new]

    def promote(self, orders: Iterable[Order]) -> int:
        self._check()
        asked = [(order.task.project, order.task.task) for order in orders]
        moved = [place for place in asked if place in self.places]
        self.places = [*moved, *(place for place in self.places if place not in moved)]
        return len(moved)

    def withdraw_projects(self, projects: Collection[int] | None) -> int:
        self._check()
        before = len(self.places)
        self.places = [] if projects is None else [place for place in self.places if place[0] not in projects]
        return before - len(self.places)

    def counts(self) -> QueueCounts:
        self._check()
        return QueueCounts({"tiny-1": len(self.places)} | self.foreign, judging=0, publish_waiting=0, publishing=0)

    def workers(self) -> list[WorkerInfo]:
        self._check()
        return self.live

    def _check(self) -> None:
        if self.broken:
            raise QueueError("Redis cannot be used: connection refused.")


def live_worker(**fields: Any) -> WorkerInfo:  # noqa: ANN401  # fields of all kinds
    """A worker that gave a sign of life just now."""
    now = datetime.now(UTC)
    usual = {
        "role": "judge",
        "state": "idle",
        "model_version": "tiny-1",
        "device": "cpu",
        "tasks": (),
    }
    return WorkerInfo(**{"started": now, "heartbeat": now, **usual, **fields})
