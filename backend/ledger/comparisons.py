"""Agreement, kept as answers come in, so that a page may ask for it every few seconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, insert, select, tuple_

from backend.agreement.calibration import Calibration, Fit
from backend.agreement.compare import Comparison
from backend.ledger.database import Database
from backend.ledger.records import Agreement, Compared, Scored
from backend.ledger.schema import calibration, comparison, uncompared
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def scored(self, project: int, model_version: str, limit: int = 5000) -> list[Scored]:
        """The latest answers to judgements that have a score, the newest first."""
        mine = and_(comparison.c.project == project, comparison.c.model_version == model_version)
        statement = select(comparison).where(mine, comparison.c.score.is_not(None))
        with self._read() as db:
            rows = db.execute(statement.order_by(comparison.c.annotation.desc()).limit(limit)).mappings().all()
        told = [({Comparison(row[dimension.value]) for dimension in Dimension}, row) for row in rows]
        return [
            Scored(row["score"], outcomes <= {Comparison.AGREE, Comparison.MISSING}, row["shown"])
            for outcomes, row in told
            if outcomes != {Comparison.MISSING}
        ]

    def keep_calibration(self, project: int, model_version: str, fit: Fit | None) -> None:
        """Remember how scores are to be read from now on; None: as they are."""
        mine = and_(calibration.c.project == project, calibration.c.model_version == model_version)
        with self._write() as db:
            db.execute(delete(calibration).where(mine))
            if fit is not None:
                curve = {"slope": fit.calibration.slope, "intercept": fit.calibration.intercept}
                quality = {"answers": fit.answers, "brier_before": fit.brier_before, "brier": fit.brier}
                place = {"project": project, "model_version": model_version}
                db.execute(insert(calibration).values(**place, **curve, **quality))

    def calibration(self, project: int, model_version: str) -> Fit | None:
        """How scores are to be read; None: as they are."""
        mine = and_(calibration.c.project == project, calibration.c.model_version == model_version)
        with self._read() as db:
            row = db.execute(select(calibration).where(mine)).mappings().first()
        if row is None:
            return None
        curve = Calibration(row["slope"], row["intercept"])
        return Fit(curve, row["answers"], row["brier_before"], row["brier"])


def _row(one: Compared) -> dict[str, Any]:
    outcome = {dimension.value: one.comparisons[dimension].value for dimension in Dimension}
    same = ("annotation", "project", "task", "model_version", "shown", "score")
    return {name: getattr(one, name) for name in same} | outcome
