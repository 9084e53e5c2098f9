"""A real Redis server per test, a double of Label Studio, and worker processes that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from backend.demo.services import ROOT
from backend.ledger import Key, Ledger, State
from backend.queue import WorkQueue
from backend.settings import Settings
from backend.types import PairwiseTask
from backend.version import model_version
from backend.wire import Order
from tests.integration.doubles import LabelStudioDouble
from tests.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.redis_server import RedisServer

STEP_S = 0.1
LONGEST_WAIT_S = 240.0  # far more than a sound machine needs; a busy one takes half a minute to start a process
TIMEOUT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here, and give it the time that starting processes takes on a busy machine."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def wait_for(what: Callable[[], object], *, within_s: float = LONGEST_WAIT_S) -> None:
    """Wait until `what()` is true; fail after a time that no sound machine needs."""
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"nothing came of it within {within_s:.0f} s")
        time.sleep(STEP_S)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """One per test, not per file as elsewhere: tests here kill it."""
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def label_studio_double() -> Iterator[LabelStudioDouble]:
    studio = LabelStudioDouble()
    studio.start()
    yield studio
    studio.stop()


@dataclass
class Stack:
    """The whole pipeline: start, kill and ask its parts."""

    folder: Path
    redis: RedisServer
    studio: LabelStudioDouble
    settings: Settings
    ledger: Ledger
    queue: WorkQueue
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    _watchers: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def version(self) -> str:
        """The model version of every worker."""
        return model_version(self.settings)

    def judge(self, *, seconds: float = 0.05, **environment: str) -> subprocess.Popen[bytes]:
        """Start a judge worker whose replies take so long."""
        return self._start("judge", str(seconds), **environment)

    def publisher(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a publisher."""
        return self._start("publisher", **environment)

    def keep(self, kind: str, *arguments: str, **environment: str) -> None:
        """Start a process and, like a supervisor, start it again whenever it ends."""

        def watch() -> None:
            while not self._ending.is_set():
                self._start(kind, *arguments, **environment).wait()
                time.sleep(STEP_S)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        self._watchers.append(watcher)

    def kill(self, kind: str) -> bool:
        """End the running process of a kind without a warning; False when there is none."""
        for process, of_kind in zip(reversed(self.processes), reversed(self.kinds), strict=True):
            if of_kind == kind and process.poll() is None:
                process.kill()
                return True
        return False

    def enter(self, *tasks: PairwiseTask) -> None:
        """What the web process does."""
        new = self.ledger.enter(tasks, self.version)
        self.queue.enqueue(Order(task, self.version) for task in new)

    def state(self, task: int) -> State | None:
        """Where a task stands."""
        entry = self.ledger.entry(Key(1, task, self.version))
        return None if entry is None else entry.state

    def settled(self) -> bool:
        """Whether every task is published, failed or skipped."""
        counts = self.ledger.counts(1)
        return counts[State.QUEUED] == counts[State.JUDGED] == 0

    def log(self) -> str:
        """What all processes said."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{len(self.processes):03d}-{arguments[0]}.log").open("w")
        settings = {
            "REDIS_URL": self.settings.redis_url.get_secret_value(),
            "DATABASE_URL": self.settings.database_url.get_secret_value(),
            "LABEL_STUDIO_URL": self.settings.label_studio_url,
            "LABEL_STUDIO_API_KEY": self.settings.label_studio_api_key.get_secret_value(),
            "MODEL": self.settings.model,
            "MODEL_REVISION": self.settings.model_revision,
            "MAX_ATTEMPTS": str(self.settings.max_attempts),
            "RECONCILE_INTERVAL_S": str(self.settings.reconcile_interval_s),
            "JOB_TIMEOUT_S": str(self.settings.job_timeout_s),
        }
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.process", *arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **settings, **environment},
            )
        self.processes.append(process)
        self.kinds.append(arguments[0])
        return process

    def end(self) -> None:
        """End every process that is still there."""
        self._ending.set()
        for process in self.processes:
            process.kill()
            process.wait(30)
        for watcher in self._watchers:
            watcher.join(30)


@pytest.fixture
def new_stack(
    tmp_path: Path, redis_server: RedisServer, label_studio_double: LabelStudioDouble
) -> Iterator[Callable[..., Stack]]:
    stacks: list[Stack] = []

    def make(**settings: object) -> Stack:
        chosen = {
            "redis_url": redis_server.url,
            "database_url": f"sqlite:///{tmp_path / 'ledger.db'}",
            "label_studio_url": label_studio_double.url,
            "label_studio_api_key": "a-legacy-token",
            "model": "double",
            "model_revision": "1",
            "max_attempts": 3,
            "reconcile_interval_s": 1.0,
        }
        made = Settings(**(chosen | settings), _env_file=None)  # type: ignore[arg-type]  # pydantic checks the values
        url = made.database_url.get_secret_value()
        ledger = Ledger.open(url, max_attempts=made.max_attempts)
        stack = Stack(tmp_path, redis_server, label_studio_double, made, ledger, WorkQueue.connect(made))
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.end()
        print(stack.log())  # pytest shows it when the test fails
        stack.ledger.close()
        stack.queue.connection.close()


@pytest.fixture
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A pipeline that reconciles every second and has no process yet."""
    return new_stack()


def pair(task: int, prompt: str = "a dog runs", video: str = "/a.mp4") -> PairwiseTask:
    """A task of project 1."""
    return PairwiseTask(1, task, video, "/b.mp4", prompt)


def published_once(stack: Stack, tasks: Sequence[int]) -> bool:
    """Whether each task has exactly one prediction, in Label Studio and in the ledger."""
    return stack.studio.by_task() == {
        (task, stack.version): [entry.prediction_id]
        for task in tasks
        if (entry := stack.ledger.entry(Key(1, task, stack.version))) is not None
    } and all(stack.state(task) is State.PUBLISHED for task in tasks)
