"""Agreement, kept as answers come in, so that a page may ask for it every few seconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, tuple_

from backend.agreement.compare import Comparison
from backend.ledger.database import Database
from backend.ledger.records import Agreement, Compared
from backend.ledger.schema import comparison, uncompared
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import RowMapping

DIMENSIONS = [comparison.c[dimension.value] for dimension in Dimension]


class Comparisons(Database):
    """Every standing answer beside the judgement it belongs to, compared once per change."""

    @contextmanager
    def comparing(self, limit: int) -> Iterator[tuple[list[tuple[int, int]], list[Compared]]]:
        """Up to `limit` places (project, task) to compare anew, and a list for what came of it.

        One transaction: whatever changes meanwhile is marked again after it, and nothing is lost when the block fails.
        """
        with self._write() as db:
            waiting = select(uncompared.c.project, uncompared.c.task).limit(limit).with_for_update(skip_locked=True)
            places = [(row.project, row.task) for row in db.execute(waiting)]
            found: list[Compared] = []
            db.execute(delete(uncompared).where(tuple_(uncompared.c.project, uncompared.c.task).in_(places)))
            yield places, found
            db.execute(delete(comparison).where(tuple_(comparison.c.project, comparison.c.task).in_(places)))
            if found:
                db.execute(insert(comparison), [_row(one) for one in found])

    def uncompared(self, project: int | None = None) -> int:
        """How many tasks wait to be compared."""
        statement = select(func.count()).select_from(uncompared)
        if project is not None:
            statement = statement.where(uncompared.c.project == project)
        with self._read() as db:
            return int(db.scalar(statement) or 0)

    def agreement(self) -> list[Agreement]:
        """How answers stand to judgements, by project, model version, and whether the judgement was shown."""
        place = (comparison.c.project, comparison.c.model_version, comparison.c.shown)
        statement = select(*place, *DIMENSIONS, func.count().label("rows")).group_by(*place, *DIMENSIONS)
        counts: dict[tuple[int, str, bool], dict[Dimension, Counter[Comparison]]] = defaultdict(
            lambda: {dimension: Counter() for dimension in Dimension}
        )
        answers: Counter[tuple[int, str, bool]] = Counter()
        with self._read() as db:
            for row in db.execute(statement).mappings():
                key = (row["project"], row["model_version"], row["shown"])
                answers[key] += row["rows"]
                for dimension in Dimension:
                    counts[key][dimension][Comparison(row[dimension.value])] += row["rows"]
        return [Agreement(*key, answers[key], counts[key]) for key in sorted(counts)]


def _row(one: Compared) -> dict[str, Any]:
    outcome = {dimension.value: one.comparisons[dimension].value for dimension in Dimension}
    same = ("annotation", "project", "task", "model_version", "shown", "score")
    return {name: getattr(one, name) for name in same} | outcome


def compared(row: RowMapping) -> Compared:
    """A row of `comparison`."""
    outcome = {dimension: Comparison(row[dimension.value]) for dimension in Dimension}
    return Compared(
        row["annotation"], row["project"], row["task"], row["model_version"], row["shown"], outcome, row["score"]
    )
