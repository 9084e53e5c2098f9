"""What people have switched: work paused, work cancelled, new tasks taken in by themselves.

It is kept here and not in Redis, so that a pause outlives every process and an emptied Redis.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select, update

from backend.ledger.database import CHUNK, Database, upsert
from backend.ledger.records import Automatic, Paused, State
from backend.ledger.schema import control, work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

EVERY_PROJECT = 0  # Label Studio's own ids begin at 1
CANCELLED = "cancelled"
FIRST_OF_ALL = datetime(1970, 1, 1, tzinfo=UTC)


def not_paused() -> ColumnElement[bool]:
    """The condition that selects rows of `work` whose project goes on."""
    halted = select(control.c.project).where(control.c.paused)
    return and_(work.c.project.not_in(halted), ~halted.where(control.c.project == EVERY_PROJECT).exists())


class Control(Database):
    """Switches per project, and one for all of them."""

    def pause(self, project: int | None = None) -> None:
        """From now on nothing new of the project is begun; None: of any project. What is being judged is finished."""
        self._switch(EVERY_PROJECT if project is None else project, paused=True)

    def resume(self, project: int | None = None) -> None:
        """Take back one pause: the project's own, or for None the one of all, which leaves single ones as they are."""
        self._switch(EVERY_PROJECT if project is None else project, paused=False)

    def paused(self) -> Paused:
        """What is paused now."""
        with self._read() as db:
            halted = frozenset(db.scalars(select(control.c.project).where(control.c.paused)))
        return Paused(EVERY_PROJECT in halted, halted - {EVERY_PROJECT})

    def take_automatically(self, project: int, after: int) -> None:
        """Take in by itself every task of the project whose id is greater than `after`."""
        if not self.is_automatic(project):
            self._switch(project, automatic=True, taken_after=after, taken_to=after)

    def take_when_asked(self, project: int) -> None:
        """Take in only what is asked for."""
        self._switch(project, automatic=False)

    def is_automatic(self, project: int) -> bool:
        """Whether new tasks of the project are taken in by themselves."""
        chosen = select(control.c.automatic).where(control.c.project == project)
        with self._read() as db:
            return bool(db.scalar(chosen))

    def automatic(self) -> list[Automatic]:
        """The projects whose new tasks are taken in by themselves."""
        columns = (control.c.project, control.c.taken_after, control.c.taken_to)
        with self._read() as db:
            rows = db.execute(select(*columns).where(control.c.automatic).order_by(control.c.project))
            return [Automatic(*row) for row in rows]

    def taken_to(self, project: int, task: int) -> None:
        """Remember that the project's tasks up to this id were looked at."""
        self._switch(project, taken_to=task)

    def newest_is(self, project: int, task: int) -> None:
        """Remember that the project's greatest id is this one, so that whatever gets a greater one is looked at.

        Label Studio on SQLite gives the ids of the newest tasks again when those were deleted.
        """
        lower = {"taken_after": task, "taken_to": task}
        with self._write() as db:
            for name, value in lower.items():
                above = and_(control.c.project == project, control.c[name] > value)
                db.execute(update(control).where(above).values({name: value, "updated_at": self._clock()}))

    def _switch(self, project: int, **values: Any) -> None:  # noqa: ANN401  # columns of all kinds
        new = {"paused": False, "automatic": False, "taken_after": 0, "taken_to": 0} | values
        now = {"updated_at": self._clock()}
        with self._write() as db:
            statement = upsert(db, control).values(project=project, **new, **now)
            db.execute(statement.on_conflict_do_update(index_elements=["project"], set_=values | now))

    def cancel(self, project: int) -> int:
        """Give up what waits to be judged, of every model version; the answer is how many tasks.

        What is judged already still gets to Label Studio. Asking for a cancelled task again enters it anew.
        """
        values = {"state": State.SKIPPED, "reason": CANCELLED, "message": "Cancelled before it was judged."}
        waiting = and_(work.c.project == project, work.c.state == State.QUEUED)
        with self._write() as db:
            return db.execute(update(work).where(waiting).values(**values, updated_at=self._clock())).rowcount

    def hurry(self, project: int, tasks: Sequence[int], model_version: str) -> None:
        """Have these tasks judged first when their paused project goes on: a person has opened them."""
        mine = and_(work.c.project == project, work.c.model_version == model_version, work.c.state == State.QUEUED)
        with self._write() as db:
            for start in range(0, len(tasks), CHUNK):
                chosen = and_(mine, work.c.task.in_(tasks[start : start + CHUNK]))
                db.execute(update(work).where(chosen).values(not_before=FIRST_OF_ALL))
