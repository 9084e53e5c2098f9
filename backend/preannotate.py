"""Pre-annotation of a whole project: take its tasks in, see how far they are, give what failed another chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from backend.intake import LedgerIntake
from backend.jobs.reconciling import Reconciling
from backend.label_studio.layout import parse_layout
from backend.label_studio.records import without_prediction_of
from backend.ledger import Project, State
from backend.queue import Rescue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backend.intake import JudgeQueue
    from backend.label_studio.client import LabelStudioClient
    from backend.ledger import FailureGroup, Ledger
    from backend.queue import WorkQueue

BATCH = 500  # tasks per transaction and per round trip to Redis: one page of Label Studio's list


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the project's tasks so far: `rejected` counts by reason those that no model can judge."""

    new: int = 0
    known: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """How many tasks were looked at."""
        return self.new + self.known + sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a project is under one model version; `blind` of the judged are never shown, `rate` is per second."""

    project: int
    title: str
    model_version: str
    states: Mapping[State, int]
    blind: int
    rate: float
    failures: tuple[FailureGroup, ...]

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.states[State.QUEUED] == 0 and self.states[State.JUDGED] == self.blind

    @property
    def to_go_s(self) -> float | None:
        """Seconds until nothing is queued at the present rate; None where nothing waits or nothing moves."""
        queued = self.states[State.QUEUED]
        return queued / self.rate if queued and self.rate else None


def take_in(
    client: LabelStudioClient,
    ledger: Ledger,
    queue: JudgeQueue,
    model_version: str,
    project: int,
    *,
    limit: int | None = None,
    priority: bool = False,
) -> Iterator[Taken]:
    """Queue the project's tasks that are not known under this version, at most `limit` new ones; totals per batch.

    Just as /predict takes tasks in, so that asking twice, in both ways, or again after an interruption queues each
    task once. Holds one batch at a time. With `priority` they go before everything that waits.

    Raises:
        LabelConfigError: no task of this project can be judged; nothing was queued.
        LabelStudioError: the tasks cannot be listed; what was taken in before stays queued.
        LedgerError: the ledger cannot be used.
    """
    shown = client.project(project)
    parse_layout(shown.label_config)
    ledger.remember_project(Project(project, shown.title, shown.label_config))
    intake = LedgerIntake(ledger, queue, model_version)
    tasks = client.tasks(project, filters=(without_prediction_of(model_version),))
    new, known, rejected = 0, 0, Counter[str]()
    while limit is None or new < limit:
        batch = [
            {"id": task.id, "project": project, "data": dict(task.data)}
            for task in islice(tasks, BATCH if limit is None else min(BATCH, limit - new))
        ]
        if not batch:
            return
        accepted = intake.take(project, shown.label_config, batch, opened=priority)
        new, known = new + accepted.new, known + accepted.known
        rejected.update(accepted.rejected)
        yield Taken(new, known, dict(rejected))


def standing(ledger: Ledger, project: int, model_version: str) -> Standing:
    """How far the project is now; all zero where nothing of it is known."""
    versions = ledger.versions(project)
    mine = next((version for version in versions if version.model_version == model_version), None)
    known = ledger.project(project)
    return Standing(
        project=project,
        title=known.title if known else "",
        model_version=model_version,
        states=mine.states if mine else dict.fromkeys(State, 0),
        blind=mine.blind if mine else 0,
        rate=ledger.rate(project),
        failures=tuple(ledger.failures(project, model_version)),
    )


def standings(ledger: Ledger, project: int | None = None) -> list[Standing]:
    """The same for every model version of one project, or of all."""
    return [standing(ledger, one.project, one.model_version) for one in ledger.versions(project)]


def retry(
    ledger: Ledger,
    queue: WorkQueue,
    project: int,
    *,
    model_version: str,
    reasons: tuple[str, ...] = (),
    max_attempts: int,
) -> int:
    """Give the project's failed tasks, of these reasons or of all, another chance; how many there were.

    Tasks without usable data stay failed until they are corrected in Label Studio and asked for again.

    Raises:
        LedgerError: the ledger cannot be used; nothing was changed.
        QueueError: Redis cannot be used; the publisher enqueues them as soon as it can.
    """
    again = ledger.requeue(project, model_version=model_version, reasons=reasons)
    if again:
        Reconciling(ledger, queue, Rescue(queue), max_attempts).run()
    return again
