"""What Label Studio says about projects and people's answers."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select, update

from backend.ledger.database import CHUNK, Database, outdate, upsert
from backend.ledger.records import Annotation, Project, Sync
from backend.ledger.schema import annotation, project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta


class Answers(Database):
    """Projects and annotations, kept as they were last seen."""

    def remember_project(self, seen: Project) -> None:
        """Keep a project's title and labeling config, as `/setup` or Label Studio's API told them."""
        now = self._clock()
        row = {**asdict(seen), "updated_at": now}
        with self._write() as db:
            read_before = db.scalar(select(project.c.label_config).where(project.c.id == seen.id))
            if read_before != seen.label_config:
                outdate(db, annotation.c.project == seen.id)
            new = upsert(db, project).values(**row, sync_not_before=now)
            db.execute(new.on_conflict_do_update(index_elements=["id"], set_=row))

    def project(self, project_id: int) -> Project | None:
        """What is known of a project."""
        with self._read() as db:
            row = db.execute(select(project).where(project.c.id == project_id)).mappings().first()
        return None if row is None else Project(row["id"], row["title"], row["label_config"])

    def projects(self) -> list[Project]:
        """Every project that was ever seen, by id."""
        with self._read() as db:
            rows = db.execute(select(project).order_by(project.c.id)).mappings().all()
        return [Project(row["id"], row["title"], row["label_config"]) for row in rows]

    def remember_annotation(self, *seen: Annotation) -> None:
        """Keep annotations; what arrives late never overwrites newer, and a hint never brings back what was deleted.

        The prediction that an answer was made from stays known when it is deleted in Label Studio.
        """
        rows = [asdict(one) for one in {one.id: one for one in sorted(seen, key=lambda one: one.updated_at)}.values()]
        if not rows:
            return
        with self._write() as db:
            statement = upsert(db, annotation)
            new = statement.excluded
            later = annotation.c.updated_at <= new.updated_at
            values: dict[str, Any] = {column.name: new[column.name] for column in annotation.c if column.name != "id"}
            # Label Studio forgets it with the prediction; the answer was made from it all the same.
            values["parent_prediction"] = func.coalesce(new.parent_prediction, annotation.c.parent_prediction)
            statement = statement.on_conflict_do_update(
                index_elements=["id"],
                set_=values,
                where=and_(later, or_(~annotation.c.deleted, new.origin == "sync")),
            )
            db.execute(statement, rows)
            for start in range(0, len(rows), CHUNK):
                outdate(db, annotation.c.id.in_([row["id"] for row in rows[start : start + CHUNK]]))

    def mark_annotations_deleted(self, ids: Sequence[int]) -> int:
        """Annotations that are gone in Label Studio; their rows are kept, marked. The answer is how many."""
        count = 0
        with self._write() as db:
            for start in range(0, len(ids), CHUNK):
                gone = annotation.c.id.in_(ids[start : start + CHUNK]) & ~annotation.c.deleted
                outdate(db, gone)
                count += db.execute(update(annotation).where(gone).values(deleted=True)).rowcount
        return count

    def annotation_ids(self, project_id: int, tasks: Iterable[int] | None = None) -> set[int]:
        """The annotations of a project (of some tasks) that are not known to be deleted."""
        live = (annotation.c.project == project_id) & ~annotation.c.deleted
        if tasks is not None:
            live &= annotation.c.task.in_(list(tasks))
        with self._read() as db:
            return set(db.scalars(select(annotation.c.id).where(live)))

    def begin_sync(self, lease: timedelta) -> Sync | None:
        """A project whose annotations are to be fetched now, for this caller alone until the lease ends."""
        now = self._clock()
        with self._write() as db:
            due = select(project.c.id, project.c.synced_to).where(project.c.sync_not_before <= now)
            row = db.execute(due.order_by(project.c.sync_not_before).limit(1).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            db.execute(update(project).where(project.c.id == row.id).values(sync_not_before=now + lease))
            return Sync(row.id, row.synced_to)

    def renew_sync(self, project_id: int, lease: timedelta) -> None:
        """It still goes on: nobody else is to begin one before this lease ends."""
        with self._write() as db:
            values = {"sync_not_before": self._clock() + lease}
            db.execute(update(project).where(project.c.id == project_id).values(**values))

    def end_sync(self, project_id: int, synced_to: datetime | None, pause: timedelta) -> None:
        """Everything up to `synced_to` is here; the next sync is due after the pause."""
        values = {"synced_to": synced_to, "sync_not_before": self._clock() + pause}
        with self._write() as db:
            db.execute(update(project).where(project.c.id == project_id).values(**values))

    def annotations(self, project_id: int, tasks: Iterable[int] | None = None) -> Iterator[Annotation]:
        """A project's annotations (of some tasks), deleted ones marked, by task and id; streamed, not held."""
        statement = select(annotation).where(annotation.c.project == project_id)
        if tasks is not None:
            statement = statement.where(annotation.c.task.in_(list(tasks)))
        statement = statement.order_by(annotation.c.task, annotation.c.id)
        with self._read() as db:
            for row in db.execution_options(yield_per=CHUNK).execute(statement).mappings():
                yield _annotation(row)


def _annotation(row: Any) -> Annotation:  # noqa: ANN401  # a row mapping, whose values the schema types
    return Annotation(**{field.name: row[field.name] for field in fields(Annotation)})
