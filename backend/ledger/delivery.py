"""Write-back: which judgements still have to appear in Label Studio, and who may put them there now."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import and_, bindparam, func, literal, or_, select, tuple_, update

from backend.errors import JobCrashedError
from backend.ledger.database import CHUNK, Database, outdate
from backend.ledger.records import Claim, Key, State
from backend.ledger.rows import answers_to, is_key, task_of
from backend.ledger.schema import annotation, work
from backend.ledger.schema import judgement as judgements
from backend.ledger.text import sayable
from backend.ledger.work import pause_after
from backend.types import Judgement
from backend.wire import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping

    from backend.errors import TaskError

HOLDER_ENDS = "/"
LEASE = timedelta(seconds=90)  # longer than a publisher waits for Label Studio between claiming and posting


class Delivery(Database):
    """Rows from their judgement to a verified prediction. The blind slice never gets here."""

    def unpublished(self, limit: int = 1000) -> list[Key]:
        """Judged tasks that nobody is publishing and whose pause is over, the longest waiting first."""
        place = (work.c.project, work.c.task, work.c.model_version)
        with self._read() as db:
            rows = db.execute(select(*place).where(self._open()).order_by(work.c.not_before).limit(limit))
            return [Key(*row) for row in rows]

    def claim_for_publishing(self, keys: Sequence[Key], holder: str = "") -> list[Claim]:
        """Those of the judged tasks `keys` that this caller alone may publish until the lease ends.

        A publisher that dies leaves its lease to run out, or to be released by whoever knows that `holder` is dead.
        The next one looks at what exists before it posts. A row whose judgement cannot be read is failed, and no other.
        """
        token = f"{holder}{HOLDER_ENDS}{uuid4().hex}"
        place = tuple_(work.c.project, work.c.task, work.c.model_version)
        wanted = place.in_([(key.project, key.task, key.model_version) for key in keys])
        query = select(work, judgements.c.body).join(judgements).where(wanted, self._open())
        with self._write() as db:
            rows = db.execute(query.with_for_update(skip_locked=True, of=work)).mappings().all()
            taken = work.c.id.in_([row["id"] for row in rows])
            db.execute(update(work).where(taken).values(claim=token, not_before=self._clock() + LEASE))
        return [claim for row in rows if (claim := self._claim(row, token)) is not None]

    def _claim(self, row: RowMapping, token: str) -> Claim | None:
        key = Key(row["project"], row["task"], row["model_version"])
        try:
            return Claim(key, task_of(row), from_json(Judgement, row["body"]), token)
        except ValueError as error:
            problem = f"The judgement of task {key.task} in the ledger is unreadable: {error}."
            self._fail(_held(key, token), JobCrashedError(f"{problem} Publish it with the release that wrote it."))
            return None

    def renew(self, claims: Sequence[Claim], lease: timedelta = LEASE) -> list[Claim]:
        """Start the lease anew, right before posting; the answer is those that nobody else took over meanwhile."""
        place = (work.c.project, work.c.task, work.c.model_version)
        kept: set[tuple[str, Key]] = set()
        with self._write() as db:
            for token in {claim.token for claim in claims}:
                keys = [claim.key for claim in claims if claim.token == token]
                wanted = tuple_(*place).in_([(key.project, key.task, key.model_version) for key in keys])
                mine = update(work).where(wanted, work.c.state == State.JUDGED, work.c.claim == token)
                renewed = mine.values(not_before=self._clock() + lease).returning(*place)
                kept |= {(token, Key(*row)) for row in db.execute(renewed)}
        return [claim for claim in claims if (claim.token, claim.key) in kept]

    def holders(self) -> set[str]:
        """Who holds leases now."""
        held = and_(work.c.state == State.JUDGED, work.c.not_before > self._clock(), work.c.claim != "")
        with self._read() as db:
            tokens = db.scalars(select(work.c.claim).where(held).distinct())
            return {token.rpartition(HOLDER_ENDS)[0] for token in tokens}

    def release(self, holder: str) -> int:
        """End the leases of one that died; the answer is how many rows will soon be open again.

        Soon, because Label Studio may still be busy with the last request of the dead.
        """
        held = and_(work.c.state == State.JUDGED, work.c.not_before > self._clock(), _held_by(holder))
        with self._write() as db:
            later = self._clock() + pause_after(1)
            return db.execute(update(work).where(held).values(claim="", not_before=later)).rowcount

    def mark_all_published(self, published: Mapping[Key, int]) -> None:
        """These predictions were read back from Label Studio. The first id that is told of each stays."""
        if not published:
            return
        now = self._clock()
        done = {
            "state": State.PUBLISHED,
            # Since when people can have seen it: one that is published again was on the screen before.
            "published_at": func.coalesce(work.c.published_at, literal(now, work.c.published_at.type)),
            "updated_at": now,
            "claim": "",
            "reason": "",
            "message": "",
        }
        wanted = (
            work.c.project == bindparam("wanted_project"),
            work.c.task == bindparam("wanted_task"),
            work.c.model_version == bindparam("wanted_version"),
        )
        # A queued row was entered anew while its prediction was on the way: with other videos, or after it was deleted.
        open_rows = and_(work.c.state != State.PUBLISHED, work.c.state != State.QUEUED)  # many rows take no IN
        statement = update(work).where(*wanted, open_rows)
        statement = statement.values(**done, prediction_id=bindparam("wanted_prediction"))
        rows = [
            {"wanted_project": key.project, "wanted_task": key.task, "wanted_version": key.model_version}
            | {"wanted_prediction": number}
            for key, number in published.items()
        ]
        places = [(key.project, key.task) for key in published]
        with self._write() as db:
            db.execute(statement, rows)
            for start in range(0, len(places), CHUNK):
                outdate(db, tuple_(annotation.c.project, annotation.c.task).in_(places[start : start + CHUNK]))

    def postpone(self, claims: Sequence[Claim], error: TaskError) -> None:
        """Write-back did not pass this time: the rows stay judged with the reason, and are due after a pause.

        Like `give_up` and `hide`, this leaves alone what another publisher has claimed since: it may be posting now.
        """
        with self._write() as db:
            for claim in claims:
                self._postpone(db, _held(claim.key, claim.token), error)

    def give_up(self, claim: Claim, error: TaskError) -> None:
        """Write-back can never pass: the row is failed with the reason; its judgement is kept."""
        self._fail(_held(claim.key, claim.token), error)

    def hide(self, claim: Claim) -> None:
        """Never show this judgement: the project's own labeling config asks people without the model's opinion."""
        statement = update(work).where(_held(claim.key, claim.token))
        with self._write() as db:
            if db.execute(statement.values(shown=False, claim="", updated_at=self._clock())).rowcount:
                outdate(db, answers_to(claim.key))

    def end_write_back(self, key: Key, holder: str, error: TaskError) -> None:
        """The job in which `holder` was to write this row back crashed or died: the row is due after a pause.

        But not for ever: the same end again and again needs a person, and the row is failed. One that another publisher
        holds by now is left to that.
        """
        free = or_(work.c.claim == "", work.c.not_before <= self._clock(), _held_by(holder))
        row = and_(is_key(key), work.c.state == State.JUDGED, free)
        again = and_(work.c.reason == error.reason, work.c.publish_attempts >= self._max_attempts)
        if not self._fail(and_(row, again), error):
            with self._write() as db:
                self._postpone(db, row, error)

    def _postpone(self, db: Connection, which: ColumnElement[bool], error: TaskError) -> None:
        now = self._clock()
        columns = select(work.c.id, work.c.publish_attempts)
        row = db.execute(columns.where(which).with_for_update()).first()
        if row is None:
            return
        attempts = row.publish_attempts + 1
        later = {"publish_attempts": attempts, "not_before": now + pause_after(attempts), "updated_at": now}
        why = {"reason": error.reason, "message": sayable(str(error))}
        db.execute(update(work).where(work.c.id == row.id).values(**why, **later, claim=""))

    def _fail(self, which: ColumnElement[bool], error: TaskError) -> bool:
        """Whether there was such a row."""
        why = {"reason": error.reason, "message": sayable(str(error))}
        failed = update(work).where(which).values(**why, state=State.FAILED, claim="", updated_at=self._clock())
        with self._write() as db:
            return db.execute(failed).rowcount > 0

    def reopen(self, project: int, tasks: Sequence[int], model_version: str) -> int:
        """Publish again what is no longer in Label Studio, e.g. predictions that someone deleted.

        Publishing looks at what exists first, so that reopening a task too many costs a request and adds nothing.
        """
        now = self._clock()
        mine = and_(work.c.project == project, work.c.model_version == model_version, work.c.state == State.PUBLISHED)
        # The prediction's id stays until another takes its place: it tells which answers were given in its sight.
        reopened = update(work).where(mine).values(state=State.JUDGED, not_before=now, updated_at=now)
        with self._write() as db:
            return sum(
                db.execute(reopened.where(work.c.task.in_(tasks[start : start + CHUNK]))).rowcount
                for start in range(0, len(tasks), CHUNK)
            )

    def _open(self) -> ColumnElement[bool]:
        return and_(work.c.state == State.JUDGED, work.c.shown, work.c.not_before <= self._clock())


def _held(key: Key, token: str) -> ColumnElement[bool]:
    """The condition that selects a row as long as this claim of it stands."""
    return and_(is_key(key), work.c.state == State.JUDGED, work.c.claim == token)


def _held_by(holder: str) -> ColumnElement[bool]:
    return work.c.claim.startswith(f"{holder}{HOLDER_ENDS}", autoescape=True)
