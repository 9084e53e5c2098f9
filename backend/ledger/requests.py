"""Exports that people asked for with Label Studio's Start Training: the latest of each project."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select, update

from backend.ledger.database import Database, upsert
from backend.ledger.records import ExportRequest, ExportState
from backend.ledger.schema import export_request as requests

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

LEASE = timedelta(minutes=2)  # whoever writes an export renews it; one that died leaves it to the next after this
MOST_ATTEMPTS = 3
UNDER_WAY = (ExportState.WAITING, ExportState.RUNNING)


class ExportRequests(Database):
    """One row per project. A row before the work, as everywhere, so that a request outlives every process."""

    def ask_for_export(self, project: int) -> bool:
        """Ask for one; False where one waits or runs already."""
        now = self._clock()
        values = {"state": ExportState.WAITING, "folder": "", "message": "", "attempts": 0, "ended_at": None}
        values |= {"asked_at": now, "not_before": now}
        ended = requests.c.state.not_in(UNDER_WAY)
        with self._write() as db:
            new = upsert(db, requests).values(project=project, **values)
            new = new.on_conflict_do_update(index_elements=["project"], set_=values, where=ended)
            return db.execute(new.returning(requests.c.project)).first() is not None

    def begin_export(self) -> ExportRequest | None:
        """One that waits, or whose process died, for this caller alone until the lease ends."""
        now = self._clock()
        abandoned = and_(requests.c.state == ExportState.RUNNING, requests.c.not_before <= now)
        due = or_(requests.c.state == ExportState.WAITING, abandoned)
        with self._write() as db:
            worn_out = and_(abandoned, requests.c.attempts >= MOST_ATTEMPTS)
            said = f"Whoever wrote it died {MOST_ATTEMPTS} times. Run vrthinker export by hand to see why."
            db.execute(update(requests).where(worn_out).values(state=ExportState.FAILED, message=said, ended_at=now))
            row = db.execute(
                select(requests).where(due).order_by(requests.c.asked_at).limit(1).with_for_update()
            ).first()
            if row is None:
                return None
            taken = {"state": ExportState.RUNNING, "attempts": row.attempts + 1, "not_before": now + LEASE}
            db.execute(update(requests).where(requests.c.project == row.project).values(**taken))
        return ExportRequest(row.project, ExportState.RUNNING, "", "", row.asked_at, None)

    def renew_export(self, project: int) -> None:
        """It is still being written."""
        with self._write() as db:
            db.execute(update(requests).where(_running(project)).values(not_before=self._clock() + LEASE))

    def end_export(self, project: int, state: ExportState, *, folder: str = "", message: str = "") -> None:
        """It is done, or failed and why."""
        values = {"state": state, "folder": folder, "message": message, "ended_at": self._clock()}
        with self._write() as db:
            db.execute(update(requests).where(_running(project)).values(**values))

    def export_requests(self) -> list[ExportRequest]:
        """The latest of each project."""
        with self._read() as db:
            rows = db.execute(select(requests).order_by(requests.c.project)).all()
        return [
            ExportRequest(row.project, ExportState(row.state), row.folder, row.message, row.asked_at, row.ended_at)
            for row in rows
        ]


def _running(project: int) -> ColumnElement[bool]:
    return and_(requests.c.project == project, requests.c.state == ExportState.RUNNING)
