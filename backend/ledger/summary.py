"""What the status page and the command line show: counts, failures, speed."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select

from backend.ledger.database import Database
from backend.ledger.records import Effort, FailureGroup, State, VersionCounts
from backend.ledger.schema import IS_FAILED, work
from backend.ledger.schema import judgement as judgements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

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
        mine = work.c.project == project
        if model_version is not None:
            mine = and_(mine, work.c.model_version == model_version)
        total = func.count().label("rows")
        statement = select(work.c.reason, total).where(mine, IS_FAILED).group_by(work.c.reason).order_by(total.desc())
        with self._read() as db:
            groups = db.execute(statement).all()
            return [
                FailureGroup(row.reason, row.rows, *_sample(db, and_(mine, work.c.reason == row.reason)))
                for row in groups
            ]

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


def _sample(db: Connection, group: ColumnElement[bool]) -> tuple[str, list[int]]:
    """The newest message of a group of failures, and its first few tasks."""
    # Two ways to say the same, for two indexes: one has the newest first, the other the tasks in their order.
    latest = select(work.c.message).where(group, work.c.state == State.FAILED).order_by(work.c.updated_at.desc())
    first = select(work.c.task).where(group, IS_FAILED).order_by(work.c.task)
    return db.scalar(latest.limit(1)) or "", list(db.scalars(first.limit(SAMPLE)))


def _effort(body: Mapping[str, Any]) -> Effort:
    """Read from the JSON itself: checking the whole reasoning against its type takes ten times as long."""
    turns = body["turns"]
    prompt, cached, completion = (
        sum(turn[f"{kind}_tokens"] for turn in turns) for kind in ("prompt", "cached", "completion")
    )
    return Effort(body["model_version"], body["seconds"], len(turns), prompt, cached, completion)
