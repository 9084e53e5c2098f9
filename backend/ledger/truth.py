"""People's answers beside the judgement that each of them was given: what agreement is measured on."""

from __future__ import annotations

import logging
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Text, cast, select

from backend.ledger.answers import Answers
from backend.ledger.changes import changes_of, same_data
from backend.ledger.database import CHUNK
from backend.ledger.records import Answered, Judged, Key
from backend.ledger.rows import task_of
from backend.ledger.schema import judgement as judgements
from backend.ledger.schema import work
from backend.log import line
from backend.types import Dimension, Judgement, Verdict
from backend.wire import from_json, from_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping

    from backend.ledger.records import Annotation


logger = logging.getLogger(__name__)

SAME = ("model_version", "prediction_id", "shown", "entered_at", "published_at")  # names in `Judged` as in the table


class Truth(Answers):
    """Reads answers and judgements together, streamed, so that a hundred thousand of them fit in little memory."""

    def answered(
        self, project: int, model_version: str | None = None, *, tasks: Sequence[int] | None = None
    ) -> Iterator[Answered]:
        """Every annotation of a project, or of some tasks; deleted and skipped ones are marked, not left out.

        Joined to the prediction that the annotator was given (`parent_prediction`). Without one, to the row of
        `model_version`, or where none is named to the task's first judgement; `exact` tells the two apart. Judgements
        of other videos or another prompt than the person answered last are left out, that of the very prediction too:
        the task was changed in between. One that cannot be read counts as none, with a line in the log.
        """
        annotations = self.annotations(project, tasks)
        while chunk := list(islice(annotations, CHUNK)):
            numbers = sorted({annotation.task for annotation in chunk})
            rows, changes = self._judged(project, numbers), self.data_changes(project, numbers)
            for annotation in chunk:
                yield _joined(annotation, rows[annotation.task], model_version, changes.get(annotation.task, ()))

    def data_changes(self, project: int, tasks: Sequence[int] | None = None) -> Mapping[int, Sequence[datetime]]:
        """When the tasks of a project (these, or all) were found with other videos or another prompt, in order."""
        with self._read() as db:
            return changes_of(db, project, tasks)

    def judged(self, project: int) -> Iterator[Judged]:
        """Every version's verdicts on every judged task of a project, by task; streamed.

        The database takes the verdicts out of the stored JSON, so that the conversations, most of it, stay there.
        """
        statement = select(work, judgements.c.body["verdicts"].label("verdicts")).join(judgements)
        statement = statement.where(work.c.project == project).order_by(work.c.task, work.c.model_version)
        with self._read() as db:
            for row in db.execution_options(yield_per=CHUNK).execute(statement).mappings():
                try:
                    verdicts = from_json(dict[Dimension, Verdict], row["verdicts"])
                except ValueError as error:
                    _tell_unreadable(Key(row["project"], row["task"], row["model_version"]), error)
                    continue
                same = {name: row[name] for name in SAME}
                yield Judged(task=task_of(row), verdicts=verdicts, **same)

    def _judged(self, project: int, tasks: Sequence[int]) -> dict[int, list[RowMapping]]:
        body = cast(judgements.c.body, Text).label("body")  # as text, which is read in half the time
        statement = select(work, body).join(judgements).order_by(work.c.id)
        statement = statement.where(work.c.project == project, work.c.task.in_(tasks))
        found: dict[int, list[RowMapping]] = defaultdict(list)
        with self._read() as db:
            for row in db.execute(statement).mappings():
                found[row["task"]].append(row)
        return found


def _joined(
    annotation: Annotation, rows: Sequence[RowMapping], model_version: str | None, changes: Sequence[datetime]
) -> Answered:
    parent = annotation.parent_prediction
    given = [row for row in rows if parent is not None and row["prediction_id"] == parent]
    if given and same_data(annotation, given[0]["entered_at"], changes, linked=True):
        return _answered(annotation, given[0], exact=True, shown=True, seen=True)
    others = [row for row in rows if model_version in (None, row["model_version"])]
    fitting = [row for row in others if same_data(annotation, row["entered_at"], changes)]
    if fitting:
        seen = annotation.may_have_seen(row["published_at"] for row in rows)
        return _answered(annotation, fitting[0], exact=False, shown=seen or fitting[0]["shown"], seen=seen)
    return Answered(annotation, None, None, None, shown=False, exact=False, other_data=bool(others))


def _answered(annotation: Annotation, row: RowMapping, *, exact: bool, shown: bool, seen: bool) -> Answered:
    key = Key(row["project"], row["task"], row["model_version"])
    try:
        judgement = from_text(Judgement, row["body"])
    except ValueError as error:
        _tell_unreadable(key, error)
        return Answered(annotation, None, None, None, shown=False, exact=False)
    return Answered(annotation, key, task_of(row), judgement, shown=shown, exact=exact, seen=seen)


def _tell_unreadable(key: Key, error: ValueError) -> None:
    """One judgement that no reader of this release takes, e.g. written by another, must not hide all the others."""
    place = {"project": key.project, "task": key.task, "version": key.model_version}
    logger.warning(line("judgement unreadable", **place, message=error))
