"""People's answers beside the judgement that each of them was given: what agreement is measured on."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, select

from backend.ledger.answers import CHUNK, Answers
from backend.ledger.records import Answered, Judged, Key
from backend.ledger.schema import judgement as judgements
from backend.ledger.schema import work
from backend.ledger.work import task_of
from backend.types import Dimension, Judgement, Verdict
from backend.wire import from_json, from_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import RowMapping

    from backend.ledger.records import Annotation


class Truth(Answers):
    """Reads answers and judgements together, streamed, so that a hundred thousand of them fit in little memory."""

    def answered(
        self, project: int, model_version: str | None = None, *, tasks: Sequence[int] | None = None
    ) -> Iterator[Answered]:
        """Every annotation of a project, or of some tasks; deleted and skipped ones are marked, not left out.

        Joined to the prediction that the annotator was given (`parent_prediction`). Without one, to the row of
        `model_version`, or where none is named to the task's first judgement; `exact` tells the two apart.
        """
        annotations = self.annotations(project, tasks)
        while chunk := list(islice(annotations, CHUNK)):
            rows = self._judged(project, sorted({annotation.task for annotation in chunk}))
            for annotation in chunk:
                yield _joined(annotation, rows[annotation.task], model_version)

    def judged(self, project: int) -> Iterator[Judged]:
        """Every version's verdicts on every judged task of a project, by task; streamed.

        The database takes the verdicts out of the stored JSON, so that the conversations, most of it, stay there.
        """
        statement = select(work, judgements.c.body["verdicts"].label("verdicts")).join(judgements)
        statement = statement.where(work.c.project == project).order_by(work.c.task, work.c.model_version)
        with self._read() as db:
            for row in db.execution_options(yield_per=CHUNK).execute(statement).mappings():
                verdicts = from_json(dict[Dimension, Verdict], row["verdicts"])
                yield Judged(task_of(row), row["model_version"], row["prediction_id"], row["shown"], verdicts)

    def _judged(self, project: int, tasks: Sequence[int]) -> dict[int, list[RowMapping]]:
        body = cast(judgements.c.body, Text).label("body")  # as text, which is read in half the time
        statement = select(work, body).join(judgements).order_by(work.c.id)
        statement = statement.where(work.c.project == project, work.c.task.in_(tasks))
        found: dict[int, list[RowMapping]] = defaultdict(list)
        with self._read() as db:
            for row in db.execute(statement).mappings():
                found[row["task"]].append(row)
        return found


def _joined(annotation: Annotation, rows: Sequence[RowMapping], model_version: str | None) -> Answered:
    parent = annotation.parent_prediction
    given = [row for row in rows if parent is not None and row["prediction_id"] == parent]
    if given:
        return _answered(annotation, given[0], exact=True)
    others = [row for row in rows if model_version in (None, row["model_version"])]
    return _answered(annotation, others[0] if others else None, exact=False)


def _answered(annotation: Annotation, row: Any, *, exact: bool) -> Answered:  # noqa: ANN401  # a row mapping
    if row is None:
        return Answered(annotation, None, None, None, shown=False, exact=False)
    key = Key(row["project"], row["task"], row["model_version"])
    return Answered(annotation, key, task_of(row), from_text(Judgement, row["body"]), shown=row["shown"], exact=exact)
