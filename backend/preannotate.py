"""Pre-annotation of a whole project: take its tasks in, see how far they are, give what failed another chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from backend.errors import NoMatchError
from backend.intake import LedgerIntake
from backend.label_studio.layout import parse_layout
from backend.label_studio.records import without_prediction_of
from backend.label_studio.selection import Selection
from backend.ledger import Project, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backend.intake import JudgeQueue
    from backend.label_studio.client import LabelStudioClient
    from backend.ledger import FailureGroup, Ledger, Paused, VersionCounts

BATCH = 500  # tasks per transaction and per round trip to Redis: one page of Label Studio's list


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the project's tasks so far: `rejected` counts by reason those that no model can judge.

    Of the `known` ones so many were `published_again`: their predictions were gone from Label Studio.
    """

    new: int = 0
    known: int = 0
    published_again: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """How many tasks were looked at."""
        return self.new + self.known + sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a project is under one model version; `blind` of the judged are never shown, `rate` is per second.

    `delays` are tasks that failed too, but are tried again by themselves. While it is `paused`, nothing new is begun;
    `automatic` says that new tasks are taken in by themselves.
    """

    project: int
    title: str
    model_version: str
    states: Mapping[State, int]
    blind: int
    rate: float
    failures: tuple[FailureGroup, ...]
    delays: tuple[FailureGroup, ...] = ()
    paused: bool = False
    automatic: bool = False

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
    selection: Selection = Selection(),  # noqa: B008  # frozen
    limit: int | None = None,
    priority: bool = False,
) -> Iterator[Taken]:
    """Queue the project's tasks that are not known under this version, at most `limit` new ones; totals per batch.

    What was judged and published, and has no prediction any more, is published again without judging it again.

    Just as /predict takes tasks in, so that asking twice, in both ways, or again after an interruption queues each
    task once. Holds one batch at a time. With `priority` the new ones go before everything that waits,
    each batch before those that came earlier.

    Raises:
        LabelConfigError: no task of this project can be judged; nothing was queued.
        LabelStudioError: the tasks cannot be listed; what was taken in before stays queued.
        NoMatchError: the selection matches no task at all.
        LedgerError: the ledger cannot be used.
    """
    shown = client.project(project)
    parse_layout(shown.label_config)
    ledger.remember_project(Project(project, shown.title, shown.label_config))
    intake = LedgerIntake(ledger, queue, model_version)
    ids = _ids(client, project, selection)
    tasks = client.tasks(project, ids=ids, filters=(*selection.filters, without_prediction_of(model_version)))
    new, known, again, rejected = 0, 0, 0, Counter[str]()
    while limit is None or new < limit:
        batch = [
            {"id": task.id, "project": project, "data": dict(task.data)}
            for task in islice(tasks, BATCH if limit is None else min(BATCH, limit - new))
        ]
        if not batch:
            if not new + known + rejected.total() and not selection.everything:
                _require_match(client, project, selection, ids)
            return
        accepted = intake.take(project, shown.label_config, batch, opened=False, first=priority)
        new, known = new + accepted.new, known + accepted.known
        again += accepted.published_again
        rejected.update(accepted.rejected)
        yield Taken(new, known, again, dict(rejected))


def _ids(client: LabelStudioClient, project: int, selection: Selection) -> Sequence[int] | None:
    if selection.tab is None:
        return selection.ids
    shown = client.tasks_in_tab(project, selection.tab)
    return shown if selection.ids is None else sorted(set(shown) & set(selection.ids))


def _require_match(client: LabelStudioClient, project: int, selection: Selection, ids: Sequence[int] | None) -> None:
    """Nothing was taken in: either all that match are done, which is fine, or the filter is wrong."""
    if any(True for _ in client.tasks(project, ids=ids, filters=selection.filters, data=False)):
        return
    keys = next((sorted(task.data) for task in client.tasks(project)), [])
    has = f"Its tasks have the fields {', '.join(map(str, keys))}." if keys else "It has no tasks at all."
    raise NoMatchError(f"No task of project {project} matches the filter, so nothing was queued. {has}")


def standing(ledger: Ledger, project: int, model_version: str) -> Standing:
    """How far the project is now; all zero where nothing of it is known."""
    versions = ledger.versions(project)
    mine = next((version for version in versions if version.model_version == model_version), None)
    return _standing(ledger, project, model_version, mine, ledger.paused())


def standings(ledger: Ledger, project: int | None = None) -> list[Standing]:
    """The same for every model version of one project, or of all."""
    paused = ledger.paused()
    return [_standing(ledger, one.project, one.model_version, one, paused) for one in ledger.versions(project)]


def _standing(ledger: Ledger, project: int, version: str, counts: VersionCounts | None, paused: Paused) -> Standing:
    known = ledger.project(project)
    return Standing(
        project=project,
        title=known.title if known else "",
        model_version=version,
        states=counts.states if counts else dict.fromkeys(State, 0),
        blind=counts.blind if counts else 0,
        rate=ledger.rate(project),
        failures=tuple(ledger.failures(project, version)),
        delays=tuple(ledger.delays(project, version)),
        paused=paused.covers(project),
        automatic=ledger.is_automatic(project),
    )
