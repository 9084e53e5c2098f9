"""When the videos or the prompt of a task were found to be others: which answers are to which of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, tuple_

from backend.ledger.database import CHUNK, outdate, upsert
from backend.ledger.schema import annotation, data_change, work
from backend.ledger.schema import judgement as judgements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from backend.ledger.records import Annotation

SHOWN = ("video1", "video2", "prompt")  # what a judgement is of


def changed_places(db: Connection, rows: Sequence[Mapping[str, Any]]) -> set[tuple[int, int]]:
    """The places (project, task) among new rows of `work` whose task was last known with other videos or prompt.

    A rejected task was not known at all: its row is empty.
    """
    known: dict[tuple[int, int], list[str]] = {}
    for start in range(0, len(rows), CHUNK):
        places = [(row["project"], row["task"]) for row in rows[start : start + CHUNK]]
        found = select(work.c.project, work.c.task, *(work.c[name] for name in SHOWN))
        found = found.where(tuple_(work.c.project, work.c.task).in_(places), work.c.video1 != "")
        for row in db.execute(found.order_by(work.c.entered_at, work.c.id).with_for_update()).mappings():
            known[row["project"], row["task"]] = [row[name] for name in SHOWN]
    shown = {(row["project"], row["task"]): [row[name] for name in SHOWN] for row in rows}
    return {place for place, before in known.items() if before != shown[place]}


def note_changes(db: Connection, places: Iterable[tuple[int, int]], moment: datetime) -> None:
    """Remember that these tasks have other videos or another prompt from this moment on."""
    rows = [{"project": project, "task": task, "changed_at": moment} for project, task in sorted(places)]
    if rows:
        db.execute(upsert(db, data_change).on_conflict_do_nothing(), rows)


def forget_judgements(db: Connection, rows: Sequence[int]) -> None:
    """Forget what came of rows before they were entered anew: it is of other videos."""
    for start in range(0, len(rows), CHUNK):
        gone = delete(judgements).where(judgements.c.work_id.in_(rows[start : start + CHUNK]))
        judged = db.scalars(gone.returning(judgements.c.work_id)).all()
        if judged:
            places = select(work.c.project, work.c.task).where(work.c.id.in_(judged))
            outdate(db, tuple_(annotation.c.project, annotation.c.task).in_(places))


def changes_of(db: Connection, project: int, tasks: Sequence[int] | None = None) -> dict[int, list[datetime]]:
    """When the tasks of a project (these, or all) were found changed, in order; only those that ever were."""
    statement = select(data_change.c.task, data_change.c.changed_at).where(data_change.c.project == project)
    if tasks is not None:
        statement = statement.where(data_change.c.task.in_(tasks))
    found: dict[int, list[datetime]] = defaultdict(list)
    for task, moment in db.execute(statement.order_by(data_change.c.changed_at)):
        found[task].append(moment)
    return found


def same_data(
    annotation: Annotation, entered_at: datetime, changes: Sequence[datetime], *, linked: bool = False
) -> bool:
    """Whether no change lies between an answer and the entry of a row: both are of the same videos and prompt.

    An answer that is `linked`, begun with the row's own prediction, is no older than the row, whatever Label Studio's
    clock says; but it may have been changed after the task was.
    """
    answered_at = max(annotation.updated_at, entered_at) if linked else annotation.updated_at
    return data_at(answered_at, changes) == data_at(entered_at, changes)


def data_at(moment: datetime, changes: Sequence[datetime]) -> int:
    """Which of its videos and prompts a task had at a moment, counted from 0."""
    return bisect_right(changes, moment)
