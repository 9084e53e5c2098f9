"""What Prometheus may ask: this process counts what it takes in; the rest is read from the ledger and the queue.

Workers are other processes, so what they did is not counted there but read where it is recorded, when it is asked for.
Histograms grow from the start of this process on, by what was recorded since the last look.
"""

from __future__ import annotations

import logging
from collections import Counter as Counted
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backend.agreement.compare import Comparison
from backend.errors import LedgerError, QueueError, reasons_of
from backend.ledger import State
from backend.ledger.database import utc_now
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from prometheus_client import Metric

    from backend.intake import Accepted
    from backend.ledger import Effort, Ledger, VersionCounts
    from backend.queue import QueueCounts, WorkerInfo

logger = logging.getLogger(__name__)

JUDGE_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
TURN_BUCKETS = (1, 2, 3, 4, 5, 6, 7)
LATENCY_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600)
PREDICT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
SETTLED = timedelta(seconds=30)  # by then a transaction is committed, and clocks of other machines are no further off


class QueueState(Protocol):
    """What is asked about the queues; both raise `QueueError` when Redis cannot be used."""

    def counts(self) -> QueueCounts:
        """How many jobs wait and run."""
        ...

    def workers(self) -> Sequence[WorkerInfo]:
        """The live workers."""
        ...


class Metrics:
    """The counters of one web process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._tasks = Counter("vrthinker_tasks_received", "Tasks asked for.", ["outcome"], registry=registry)
        self._rejected = Counter(
            "vrthinker_tasks_rejected", "Tasks without usable data.", ["reason"], registry=registry
        )
        self._webhooks = Counter("vrthinker_webhooks", "Webhooks taken.", ["action"], registry=registry)
        self._predict = Histogram(
            "vrthinker_predict_seconds", "Time to answer /predict.", buckets=PREDICT_BUCKETS, registry=registry
        )

    def accepted(self, accepted: Accepted) -> None:
        """What became of the tasks of one request."""
        self._tasks.labels("new").inc(accepted.new)
        self._tasks.labels("known").inc(accepted.known)
        for reason, count in accepted.rejected.items():
            self._tasks.labels("rejected").inc(count)
            self._rejected.labels(reason).inc(count)

    def answered_predict(self, seconds: float) -> None:
        """A /predict was answered."""
        self._predict.observe(seconds)

    def heard(self, action: str) -> None:
        """A webhook was taken."""
        self._webhooks.labels(action).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


class Recorded(Collector):
    """Turns what the ledger and the queue hold into metrics, each time it is asked."""

    def __init__(self, ledger: Ledger, queue: QueueState, clock: Callable[[], datetime] = utc_now) -> None:
        self._ledger = ledger
        self._queue = queue
        self._clock = clock
        self._lock = Lock()
        self._seen = clock() - SETTLED
        self._seconds = Histogram(
            "vrthinker_judge_seconds", "Time of a judgement.", ["stage"], buckets=JUDGE_BUCKETS, registry=None
        )
        self._turns = Histogram(
            "vrthinker_judge_turns", "The model's turns in a judgement.", buckets=TURN_BUCKETS, registry=None
        )
        self._tokens = Counter("vrthinker_tokens", "Tokens of judgements.", ["kind"], registry=None)
        self._latency = Histogram(
            "vrthinker_publish_seconds",
            "Time from a judgement to its prediction in Label Studio.",
            buckets=LATENCY_BUCKETS,
            registry=None,
        )

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks neither the ledger nor Redis."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """What is there now. A part that cannot be reached is told by `vrthinker_up`, and the rest still comes."""
        up = GaugeMetricFamily("vrthinker_up", "Whether a part can be reached.", labels=["part"])
        for part, read in (("ledger", self._of_ledger), ("redis", self._of_queue)):
            try:
                yield from read()
                up.add_metric([part], 1)
            except (LedgerError, QueueError) as error:
                logger.warning(line("not measured", part=part, message=error))
                up.add_metric([part], 0)
        yield up

    def _of_ledger(self) -> Iterable[Metric]:
        versions = self._ledger.versions()
        tasks = GaugeMetricFamily("vrthinker_tasks", "Tasks by state.", labels=["project", "model_version", "state"])
        for version in versions:
            for state, count in version.states.items():
                tasks.add_metric([str(version.project), version.model_version, state.value], count)
        projects = sorted({version.project for version in versions})
        agreement = GaugeMetricFamily(
            "vrthinker_agreement",
            "People's answers by how they stand to the judgement.",
            labels=["project", "model_version", "shown", "dimension", "comparison"],
        )
        for one in self._ledger.agreement():
            place = [str(one.project), one.model_version, str(one.shown).lower()]
            for dimension, counts in one.counts.items():
                for comparison in Comparison:
                    agreement.add_metric([*place, dimension.value, comparison.value], counts.get(comparison, 0))
        self._catch_up(projects)
        grown = (self._seconds, self._turns, self._tokens, self._latency)
        told = [tasks, self._failures(projects), *self._unpublished(versions), agreement]
        return [*told, *(metric for one in grown for metric in one.collect())]

    def _failures(self, projects: Iterable[int]) -> Metric:
        """Zeros too, because an alert on growth sees none where a series begins; so known projects have all of them."""
        failures = GaugeMetricFamily("vrthinker_failures", "Failed tasks by reason.", labels=["project", "reason"])
        for project in sorted({*projects, *(known.id for known in self._ledger.projects())}):
            counts = dict.fromkeys(sorted(reasons_of()), 0)
            counts |= {group.reason: group.count for group in self._ledger.failures(project)}
            for reason, count in counts.items():
                failures.add_metric([str(project), reason], count)
        return failures

    def _unpublished(self, versions: Sequence[VersionCounts]) -> Iterable[Metric]:
        """What waits for write-back, which no time of what got there can tell."""
        waiting = GaugeMetricFamily("vrthinker_unpublished", "Judgements to be written back.", labels=["project"])
        oldest = GaugeMetricFamily(
            "vrthinker_unpublished_oldest_seconds", "Age of the oldest of them, 0 without any.", labels=["project"]
        )
        counts = Counted[int]()
        for version in versions:
            counts[version.project] += version.states[State.JUDGED] - version.blind
        since, now = self._ledger.unpublished_since(), self._clock()
        for project, count in counts.items():
            waiting.add_metric([str(project)], count)
            oldest.add_metric([str(project)], (now - since.get(project, now)).total_seconds())
        return waiting, oldest

    def _catch_up(self, projects: Iterable[int]) -> None:
        """Add what was recorded since the last look to the histograms, once."""
        with self._lock:
            after, until = self._seen, max(self._seen, self._clock() - SETTLED)
            efforts = [one for project in projects for one in self._ledger.efforts(project, after, until)]
            latencies = [one for project in projects for one in self._ledger.publish_seconds(project, after, until)]
            self._seen = until
            for effort in efforts:
                self._add(effort)
            for seconds in latencies:
                self._latency.observe(seconds)

    def _add(self, effort: Effort) -> None:
        for stage, seconds in effort.seconds.items():
            self._seconds.labels(stage).observe(seconds)
        self._turns.observe(effort.turns)
        self._tokens.labels("prompt").inc(effort.prompt_tokens - effort.cached_tokens)
        self._tokens.labels("cached").inc(effort.cached_tokens)
        self._tokens.labels("completion").inc(effort.completion_tokens)

    def _of_queue(self) -> Iterable[Metric]:
        counts, workers = self._queue.counts(), self._queue.workers()
        jobs = GaugeMetricFamily("vrthinker_jobs", "Jobs in Redis.", labels=["queue", "state"])
        jobs.add_metric(["judge", "waiting"], counts.judge_waiting)
        jobs.add_metric(["judge", "running"], counts.judging)
        jobs.add_metric(["publish", "waiting"], counts.publish_waiting)
        jobs.add_metric(["publish", "running"], counts.publishing)
        alive = GaugeMetricFamily("vrthinker_workers", "Live workers.", labels=["role", "model_version"])
        for (role, version), count in Counted((worker.role, worker.model_version) for worker in workers).items():
            alive.add_metric([role, version], count)
        lonely = GaugeMetricFamily(
            "vrthinker_jobs_without_worker",
            "Jobs that wait to be judged by a model version of which no worker is alive.",
            labels=["model_version"],
        )
        without = counts.without_worker(workers)
        for version in counts.waiting:
            lonely.add_metric([version], without.get(version, 0))
        return [jobs, alive, lonely]
