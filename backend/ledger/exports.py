"""What exports need to remember: who is called what, and which answers earlier ones hold."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from backend.ledger.database import Database, upsert
from backend.ledger.schema import annotation, exported, pseudonym_salt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

SALT_BYTES = 32
CHUNK = 1000


class Exports(Database):
    """Notes on datasets that were made from this ledger; none of them is part of a dataset."""

    def annotation_count(self, project: int) -> int:
        """How many annotations of a project are known, deleted ones included."""
        with self._read() as db:
            return db.scalar(select(func.count()).where(annotation.c.project == project)) or 0

    def pseudonym_salt(self, project: int) -> bytes:
        """What makes this project's pseudonyms stable, and impossible to guess from a dataset; made at first use."""
        with self._write() as db:
            new = upsert(db, pseudonym_salt).values(project=project, salt=secrets.token_hex(SALT_BYTES))
            db.execute(new.on_conflict_do_nothing())
            return bytes.fromhex(db.scalars(select(pseudonym_salt.c.salt).filter_by(project=project)).one())

    def exported(self, project: int) -> dict[tuple[int, str], datetime]:
        """(annotation, model version) -> the change of the annotation that an export holds."""
        columns = (exported.c.annotation, exported.c.model_version, exported.c.updated_at)
        with self._read() as db:
            rows = db.execute(select(*columns).where(exported.c.project == project))
            return {(row.annotation, row.model_version): row.updated_at for row in rows}

    def mark_exported(self, project: int, answers: Iterable[tuple[int, str, datetime]]) -> None:
        """These (annotation, model version, change) are in a dataset that is complete."""
        names = ("annotation", "model_version", "updated_at")
        rows = [{"project": project, **dict(zip(names, answer, strict=True))} for answer in answers]
        with self._write() as db:
            statement = upsert(db, exported)
            statement = statement.on_conflict_do_update(
                index_elements=["annotation", "model_version"], set_={"updated_at": statement.excluded.updated_at}
            )
            for start in range(0, len(rows), CHUNK):
                db.execute(statement, rows[start : start + CHUNK])
