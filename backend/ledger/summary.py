"""What the status page and the command line show: counts, failures, speed."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select

from backend.ledger.database import Database
from backend.ledger.records import Effort, FailureGroup, State, VersionCounts
from backend.ledger.schema import IS_FAILED, work
from backend.ledger.schema import judgement as judgements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, TextClause

RATE_WINDOW = timedelta(minutes=5)
SAMPLE = 20  # task ids shown per reason
CHUNK = 200  # judgements held at a time


class Summary(Database):
    """Answers that read indexes only, so that they stay quick with a hundred thousand rows."""

    def counts(self, project: int, model_version: str | None = None) -> dict[State, int]:
        """How many tasks are in each state; every state is there."""
        totals = dict.fromkeys(State, 0)
        for version in self.versions(project):
            if model_version in (None, version.model_version):
                for state, count in version.states.items():
                    totals[state] += count
        return totals

    def versions(self, project: int | None = None) -> list[VersionCounts]:
        """Counts per project and model version, of one project or of all."""
        place = (work.c.project, work.c.model_version)
        statement = select(*place, work.c.state, work.c.shown, func.count().label("rows"))
        statement = statement.group_by(*place, work.c.state, work.c.shown).order_by(*place)
        if project is not None:
            statement = statement.where(work.c.project == project)
        states: dict[tuple[int, str], dict[State, int]] = defaultdict(lambda: dict.fromkeys(State, 0))
        blind: dict[tuple[int, str], int] = defaultdict(int)
        with self._read() as db:
            for row in db.execute(statement):
                version = (row.project, row.model_version)
                states[version][State(row.state)] += row.rows
                if row.state == State.JUDGED and not row.shown:
                    blind[version] += row.rows
        return [VersionCounts(*version, counts, blind[version]) for version, counts in states.items()]

    def failures(self, project: int, model_version: str | None = None) -> list[FailureGroup]:
        """Failed tasks by reason, the most frequent first."""
        with self._read() as db:
            return _grouped(db, _of(project, model_version), work.c.state == State.FAILED, IS_FAILED)

    def delays(self, project: int, model_version: str | None = None) -> list[FailureGroup]:
        """Tasks that failed and are tried again by themselves, to be judged or to be written back; the same."""
        waiting = or_(work.c.state == State.QUEUED, and_(work.c.state == State.JUDGED, work.c.shown))
        delayed = and_(waiting, work.c.reason > "")
        with self._read() as db:
            return _grouped(db, _of(project, model_version), delayed, delayed)

    def rate(self, project: int) -> float:
        """Judgements per second over the last five minutes, or since the first of them."""
        now = self._clock()
        recent = and_(work.c.project == project, work.c.judged_at > now - RATE_WINDOW)
        with self._read() as db:
            count, first = db.execute(select(func.count(), func.min(work.c.judged_at)).where(recent)).one()
        if not count:
            return 0.0
        return float(count / max((now - first).total_seconds(), 1.0))

    def unpublished_since(self) -> dict[int, datetime]:
        """Per project, when the oldest judgement was recorded that is to be shown and is not in Label Studio."""
        waiting = and_(work.c.state == State.JUDGED, work.c.shown)
        statement = select(work.c.project, func.min(work.c.judged_at)).where(waiting).group_by(work.c.project)
        with self._read() as db:
            return {project: since for project, since in db.execute(statement) if since is not None}

    def efforts(self, project: int, after: datetime, until: datetime) -> list[Effort]:
        """What each judgement took that was recorded in `after` < time <= `until`."""
        window = and_(work.c.project == project, work.c.judged_at > after, work.c.judged_at <= until)
        statement = select(judgements.c.body).join(work, work.c.id == judgements.c.work_id).where(window)
        with self._read() as db:
            return [_effort(body) for body in db.scalars(statement.execution_options(yield_per=CHUNK))]

    def publish_seconds(self, project: int, after: datetime, until: datetime) -> list[float]:
        """How long each prediction took from its judgement to Label Studio, if it got there in that time."""
        window = and_(work.c.project == project, work.c.published_at > after, work.c.published_at <= until)
        statement = select(work.c.judged_at, work.c.published_at).where(window, work.c.judged_at.is_not(None))
        with self._read() as db:
            return [(published - judged).total_seconds() for judged, published in db.execute(statement)]


def _of(project: int, model_version: str | None) -> ColumnElement[bool]:
    mine = work.c.project == project
    return mine if model_version is None else and_(mine, work.c.model_version == model_version)


def _grouped(
    db: Connection, mine: ColumnElement[bool], which: ColumnElement[bool], the_same: ColumnElement[bool] | TextClause
) -> list[FailureGroup]:
    """Rows by reason, the most frequent first, each with its newest message and its first few tasks.

    `which` and `the_same` say the same in two ways, for two indexes: one has the newest first, the other the tasks in
    their order.
    """
    total = func.count().label("rows")
    statement = select(work.c.reason, total).where(mine, the_same).group_by(work.c.reason).order_by(total.desc())
    found = []
    for reason, rows in db.execute(statement).all():
        group = and_(mine, work.c.reason == reason)
        latest = select(work.c.message).where(group, which).order_by(work.c.updated_at.desc())
        first = select(work.c.task).where(group, the_same).order_by(work.c.task)
        tasks = list(db.scalars(first.limit(SAMPLE)))
        found.append(FailureGroup(reason, rows, db.scalar(latest.limit(1)) or "", tasks))
    return found


def _effort(body: Mapping[str, Any]) -> Effort:
    """Read from the JSON itself: checking the whole reasoning against its type takes ten times as long."""
    turns = body["turns"]
    prompt, cached, completion = (
        sum(turn[f"{kind}_tokens"] for turn in turns) for kind in ("prompt", "cached", "completion")
    )
    return Effort(body["model_version"], body["seconds"], len(turns), prompt, cached, completion)
