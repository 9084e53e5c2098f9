"""The whole product for one test: Redis, web, worker and publisher as real processes around a real Label Studio."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backend.bootstrap import open_ledger
from backend.demo.process import Processes
from backend.demo.services import ROOT, answers, backend_command, redis_answers, redis_command
from backend.demo.site import Site, choose_ports
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.project import Target, connect
from backend.ledger import Key, State
from backend.settings import load_settings
from backend.version import model_version
from tests.e2e.numbered import Numbered
from tests.e2e.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from backend.demo.process import Running
    from backend.ledger import Entry, Ledger
    from backend.settings import Settings
    from tests.e2e.conftest import LabelStudioHandle

LABEL_CONFIG = (ROOT / "label_config" / "pairwise_video.xml").read_text(encoding="utf-8")
CLIPS = (Numbered("take-1", 40, 24.0), Numbered("take-2", 30, 24.0))
ENDED = (State.PUBLISHED, State.FAILED, State.SKIPPED)
START_S = 90.0


@dataclass
class Stack:
    """Its parts and its questions. `relay` stands between the backend and Label Studio."""

    label_studio: LabelStudioHandle
    site: Site
    processes: Processes
    environment: Mapping[str, str]
    relay: Relay
    running: dict[str, Running] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """What its processes were started with."""
        return load_settings(**{name.lower(): value for name, value in self.environment.items()})

    @cached_property
    def version(self) -> str:
        """Its model version."""
        return model_version(self.settings)

    @cached_property
    def client(self) -> LabelStudioClient:
        """Our own client, straight to Label Studio."""
        return LabelStudioClient(self.label_studio.url, self.label_studio.personal_access_token)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger that the processes write."""
        return open_ledger(self.settings)

    def run(self, *names: str) -> None:
        """Start these of web, worker and publisher."""
        for name in names:
            self.running[name] = self.processes.start(backend_command(name, self.environment, self.site.logs))

    def stop(self, name: str) -> None:
        """Stop one of them, if it runs."""
        if name in self.running:
            self.running.pop(name).stop()

    def project(self, title: str) -> int:
        """A new project, connected to the backend."""
        folder = self.label_studio.files_root / "clips"
        folder.mkdir(exist_ok=True)
        for clip in CLIPS:
            clip.make(folder)
        target = Target(
            backend_url=f"http://127.0.0.1:{self.settings.port}",
            label_config=LABEL_CONFIG,
            basic_auth=(self.settings.basic_auth_user, self.settings.basic_auth_pass.get_secret_value()),
            webhook_secret=self.settings.webhook_secret.get_secret_value(),
            storage_paths=(str(folder),),
        )
        return connect(self.client, target, title=title).project.id

    def add(self, project: int, *changes: Mapping[str, Any]) -> tuple[int, ...]:
        """Import one task per change to a good one's data; their ids."""
        tasks = [{"data": good_task() | dict(change)} for change in changes]
        return self.client.administration.import_tasks(project, tasks)

    def entry(self, project: int, task: int) -> Entry | None:
        """The ledger's row of a task."""
        return self.ledger.entry(Key(project, task, self.version))

    def wait_until_ended(self, project: int, tasks: Sequence[int]) -> list[Entry]:
        """The ledger's rows of these tasks, once each is published, failed or skipped."""
        self.wait(lambda: all((entry := self.entry(project, task)) and entry.state in ENDED for task in tasks))
        return [entry for task in tasks if (entry := self.entry(project, task))]

    def wait(self, ready: Callable[[], object], *, within_s: float = 180.0) -> None:
        """Wait for something, as long as every process lives; else fail with the ends of the logs."""
        deadline = time.monotonic() + within_s
        while not ready():
            self.processes.require_alive()
            if time.monotonic() > deadline:
                pytest.fail(
                    f"nothing came of it within {within_s:.0f} s\n{self.log('worker')}\n{self.log('publisher')}"
                )
            time.sleep(0.1)

    def log(self, name: str) -> str:
        """What a process has logged so far."""
        path = self.site.logs / f"{name}.log"
        return path.read_text() if path.is_file() else ""

    def lines(self, name: str, *words: str) -> list[str]:
        """The log lines of a process that hold all these words."""
        return [line for line in self.log(name).splitlines() if all(word in line for word in words)]

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """What Label Studio holds for a task, whatever its version."""
        found: list[dict[str, Any]] = self.label_studio.client.get("/api/predictions/", params={"task": task}).json()
        return found


def good_task() -> dict[str, Any]:
    """A task's data with which nothing is wrong."""
    one, two = (f"/data/local-files/?d=clips/{clip.name}.mp4" for clip in CLIPS)
    return {"video1": one, "video2": two, "prompt": "White bars count to forty.", "fps1": 24, "fps2": 24}


@contextmanager
def stack_around(label_studio: LabelStudioHandle, folder: Path, *, reconcile_s: float) -> Iterator[Stack]:
    """Redis and a running web process; `Stack.run` starts the others. `reconcile_s` is how often to reconcile."""
    site = Site(folder)
    ports = choose_ports(0, 0)
    relay = Relay(int(label_studio.url.rpartition(":")[2]))
    environment = site.environment(ports, label_studio.personal_access_token) | {
        "LABEL_STUDIO_URL": f"http://127.0.0.1:{relay.port}",
        "RECONCILE_INTERVAL_S": str(reconcile_s),
    }
    with Processes(site.records) as processes:
        password = site.secrets().redis_password
        redis = processes.start(redis_command(site.redis, ports.redis, password))
        redis.wait_until(lambda: redis_answers(ports.redis, password), timeout_s=START_S)
        stack = Stack(label_studio, site, processes, environment, relay)
        stack.run("web")
        stack.running["web"].wait_until(lambda: answers(f"http://127.0.0.1:{ports.web}/health"), timeout_s=START_S)
        try:
            yield stack
        finally:
            stack.client.close()
            stack.ledger.close()
    relay.cut()
