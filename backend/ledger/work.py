"""The rows of work: entered, tried again, judged, failed, skipped."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, and_, case, delete, insert, or_, select, tuple_, update

from backend.errors import (
    LabelStudioNotFoundError,
    NoAnswerError,
    TaskDataError,
    TaskDeletedError,
    WorkerLostError,
)
from backend.ledger.changes import SHOWN, changed_places, forget_judgements, note_changes
from backend.ledger.control import CANCELLED, not_paused
from backend.ledger.database import CHUNK, Database, outdate, upsert
from backend.ledger.records import Entry, Key, State
from backend.ledger.rows import answers_to, entry_of, is_key, key_of, task_of
from backend.ledger.schema import comparison, work
from backend.ledger.schema import judgement as judgements
from backend.ledger.text import sayable, storable
from backend.types import Judgement, PairwiseTask
from backend.wire import Failure, Order, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from backend.errors import TaskError
    from backend.wire import Outcome

ENQUEUE_GRACE = timedelta(seconds=20)  # whoever entered a task enqueues it within this time, else reconcile does
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)
GONE = (TaskDeletedError.reason, LabelStudioNotFoundError.reason)  # why work on a task was stopped: it was not there


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many tries that did not pass: 10 s, doubled each time, at most 10 min.

    The ledger keeps this clock itself: RQ's retries live in Redis and would be forgotten with it, and an outage of
    Label Studio outlasts any number of retries one would give a job.
    """
    doublings = min(max(attempts, 1) - 1, 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << doublings))


def is_blind(project: int, task: int, share: float) -> bool:
    """Whether a task belongs to the share that is judged but never shown; the same for every model version."""
    digest = hashlib.sha256(f"{project}:{task}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


class Work(Database):
    """Rows from their entry to a judgement or a failure."""

    def enter(self, tasks: Iterable[PairwiseTask], model_version: str, *, again: bool = True) -> list[PairwiseTask]:
        """Insert the tasks that are new under this model version; the answer is just those, to be enqueued.

        A task whose videos or prompt differ from those known counts as new, whatever came of the old ones: it was
        corrected, or Label Studio gave the id of a deleted task again. So does one that was deleted and is back, and a
        cancelled one where a person asks for it `again`.

        Raises:
            LedgerError: the database cannot be used; nothing was entered.
        """
        by_task = {(task.project, task.task): task for task in tasks}
        now = self._clock()
        rows = [self._new_row(by_task[place], model_version, now) for place in sorted(by_task)]
        if not rows:
            return []
        with self._write() as db:
            changed = changed_places(db, rows)
            entered = {(row.project, row.task): row.id for row in db.execute(self._upsert(db, again=again), rows)}
            note_changes(db, changed & entered.keys(), now)
            forget_judgements(db, sorted(entered.values()))
        return [task for place, task in by_task.items() if place in entered]

    @staticmethod
    def _upsert(db: Connection, *, again: bool) -> Any:  # noqa: ANN401  # an INSERT of either dialect
        statement = upsert(db, work)
        new = statement.excluded
        others = or_(*(work.c[name] != new[name] for name in SHOWN))
        back = or_(*(work.c.reason == reason for reason in ((*GONE, CANCELLED) if again else GONE)))
        anew = or_(others, and_(work.c.state == State.SKIPPED, back))
        values: dict[str, Any] = {column.name: new[column.name] for column in work.c if column.name != "id"}
        values["entered_at"] = case((others, new.entered_at), else_=work.c.entered_at)  # by it answers find their data
        return statement.on_conflict_do_update(
            index_elements=["project", "task", "model_version"],
            set_=values,
            where=anew,
        ).returning(work.c.id, work.c.project, work.c.task)

    def _new_row(self, task: PairwiseTask, model_version: str, now: datetime) -> dict[str, Any]:
        return {
            "project": task.project,
            "task": task.task,
            "model_version": model_version,
            "video1": task.video1,
            "video2": task.video2,
            "prompt": task.prompt,
            "player_fps": list(task.player_fps),
            "shown": not is_blind(task.project, task.task, self._blind_share),
            "state": State.QUEUED,
            "attempts": 0,
            "publish_attempts": 0,
            "reason": "",
            "message": "",
            "claim": "",
            "prediction_id": None,
            "not_before": now + ENQUEUE_GRACE,
            "entered_at": now,
            "updated_at": now,
            "judged_at": None,
            "published_at": None,
        }

    def reject_all(self, rejected: Iterable[tuple[int, int, TaskError]], model_version: str) -> None:
        """Record tasks (project, task, error) that cannot even be entered; a row that is there already stays as it is.

        All of them in one transaction.
        """
        now = self._clock()
        rows = []
        for project, task, error in rejected:
            bad = PairwiseTask(project, task, video1="", video2="", prompt="")
            why = {"state": State.FAILED, "reason": error.reason, "message": sayable(str(error)), "not_before": now}
            rows.append(self._new_row(bad, model_version, now) | why)
        if not rows:
            return
        with self._write() as db:
            db.execute(upsert(db, work).on_conflict_do_nothing(), rows)

    def record(self, outcome: Outcome) -> State:
        """Take in what came of an order, as often as it is told; the answer is the row's state afterwards.

        A judgement counts once, also for a task given up before; a failure counts once per attempt, and is due again
        after a pause while it is retryable and tries are left. An order without a row (a new database) gets one. What
        came of other videos or another prompt than the row's is dropped: the task was entered anew meanwhile.
        """
        key = key_of(outcome.order)
        with self._write() as db:
            row = db.execute(select(work).where(is_key(key)).with_for_update()).mappings().first()
            if row is None:
                db.execute(insert(work).values(self._new_row(outcome.order.task, key.model_version, self._clock())))
                row = db.execute(select(work).where(is_key(key))).mappings().one()
            if any(row[name] != getattr(outcome.order.task, name) for name in SHOWN):
                return State(row["state"])
            if outcome.judgement is not None and outcome.judgement.verdicts:
                return self._record_judgement(db, row, outcome.judgement)
            return self._record_failure(db, row, outcome)

    def _record_judgement(self, db: Connection, row: RowMapping, judgement: Judgement) -> State:
        if row["state"] not in (State.QUEUED, State.FAILED) or row["judged_at"] is not None:
            return State(row["state"])
        now = self._clock()
        new = upsert(db, judgements).values(work_id=row["id"], body=storable(to_json(judgement)))
        db.execute(new.on_conflict_do_update(index_elements=["work_id"], set_={"body": new.excluded.body}))
        values = {"state": State.JUDGED, "judged_at": now, "not_before": now, "reason": "", "message": ""}
        db.execute(update(work).where(work.c.id == row["id"]).values(**values, updated_at=now))
        outdate(db, answers_to(Key(row["project"], row["task"], row["model_version"])))
        return State.JUDGED

    def _record_failure(self, db: Connection, row: RowMapping, outcome: Outcome) -> State:
        if row["state"] != State.QUEUED or outcome.order.attempt <= row["attempts"]:
            return State(row["state"])
        failure = outcome.failure or Failure(NoAnswerError.reason, "The model ended without an answer.", False)
        attempts = outcome.order.attempt
        again = failure.retryable and attempts < self._max_attempts
        now = self._clock()
        state = State.QUEUED if again else State.FAILED
        values = {"state": state, "attempts": attempts, "reason": failure.reason, "message": sayable(failure.message)}
        lost = failure.reason == WorkerLostError.reason  # no outage to wait for: another worker may try at once
        not_before = now + pause_after(attempts) if again and not lost else now
        db.execute(
            update(work).where(work.c.id == row["id"]).values(**values, not_before=not_before, updated_at=now),
        )
        return state

    def due(self) -> list[Key]:
        """Every queued row whose time has come and whose project is not paused, the longest due first.

        Those without a live job are to be enqueued again.
        """
        come = and_(work.c.state == State.QUEUED, work.c.not_before <= self._clock(), not_paused())
        rows = select(work.c.project, work.c.task, work.c.model_version).where(come)
        with self._read() as db:
            return [Key(*row) for row in db.execute(rows.order_by(work.c.not_before, work.c.id))]

    def orders(self, keys: Sequence[Key]) -> list[Order]:
        """The next order of those rows among `keys` that are still queued, in the order of the keys."""
        found = []
        place = tuple_(work.c.project, work.c.task, work.c.model_version)
        with self._read() as db:
            for start in range(0, len(keys), CHUNK):
                chunk = [(key.project, key.task, key.model_version) for key in keys[start : start + CHUNK]]
                rows = db.execute(select(work).where(place.in_(chunk), work.c.state == State.QUEUED))
                found += [Order(task_of(row), row["model_version"], row["attempts"] + 1) for row in rows.mappings()]
        wanted = {key: number for number, key in enumerate(keys)}
        return sorted(found, key=lambda order: wanted[key_of(order)])

    def given_up(self, places: Iterable[tuple[int, int]]) -> list[Order]:
        """The orders of those tasks (project, task) that nobody wants judged any more, of every model version."""
        wanted, found = sorted(set(places)), []
        with self._read() as db:
            for start in range(0, len(wanted), CHUNK):
                chosen = tuple_(work.c.project, work.c.task).in_(wanted[start : start + CHUNK])
                rows = db.execute(select(work).where(chosen, work.c.state == State.SKIPPED))
                found += [Order(task_of(row), row["model_version"], row["attempts"] + 1) for row in rows.mappings()]
        return found

    def requeue(self, project: int, *, model_version: str | None = None, reasons: Sequence[str] = ()) -> int:
        """Give failed tasks (with these reasons, or all) another chance; the answer is how many.

        One that was judged goes back to write-back, any other to the queue. A task without usable data stays failed.
        Tasks that Label Studio no longer had are looked for once more.
        """
        now = self._clock()
        failed = and_(work.c.state == State.FAILED, work.c.reason != TaskDataError.reason)
        gone = and_(work.c.state == State.SKIPPED, work.c.reason.in_(GONE))
        condition = and_(work.c.project == project, or_(failed, gone))
        if model_version is not None:
            condition = and_(condition, work.c.model_version == model_version)
        if reasons:
            condition = and_(condition, work.c.reason.in_(reasons))
        again = {"attempts": 0, "publish_attempts": 0, "not_before": now, "updated_at": now}
        with self._write() as db:
            judged = update(work).where(condition, work.c.judged_at.is_not(None)).values(state=State.JUDGED, **again)
            queued = update(work).where(condition, work.c.judged_at.is_(None)).values(state=State.QUEUED, **again)
            return db.execute(judged).rowcount + db.execute(queued).rowcount

    def skip(self, project: int, tasks: Sequence[int], reason: str, message: str) -> int:
        """Stop work on tasks that are not published yet (deleted, cancelled); the answer is how many rows."""
        now = self._clock()
        open_states = (State.QUEUED, State.JUDGED, State.FAILED)
        count = 0
        with self._write() as db:
            for start in range(0, len(tasks), CHUNK):
                chosen = work.c.task.in_(tasks[start : start + CHUNK])
                statement = update(work).where(work.c.project == project, chosen, work.c.state.in_(open_states))
                values = {"state": State.SKIPPED, "reason": reason, "message": sayable(message), "updated_at": now}
                count += db.execute(statement.values(**values)).rowcount
        return count

    def forget(self, project: int) -> None:
        """Remove a project's work and judgements, so that it can be done anew."""
        mine = select(work.c.id).where(work.c.project == project)
        with self._write() as db:
            db.execute(delete(judgements).where(judgements.c.work_id.in_(mine)))
            db.execute(delete(work).where(work.c.project == project))
            db.execute(delete(comparison).where(comparison.c.project == project))

    def entry(self, key: Key) -> Entry | None:
        """One row, or None where the task was never entered under that model version."""
        with self._read() as db:
            row = db.execute(select(work).where(is_key(key))).mappings().first()
        return None if row is None else entry_of(row)

    def judgement(self, key: Key) -> Judgement | None:
        """What the model made of a task, also while it is not published or never shown."""
        statement = select(judgements.c.body).join(work, work.c.id == judgements.c.work_id).where(is_key(key))
        with self._read() as db:
            body = db.scalar(statement)
        return None if body is None else from_json(Judgement, body)
