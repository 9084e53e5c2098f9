"""Write-back: which judgements still have to appear in Label Studio, and who may put them there now."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import and_, select, tuple_, update

from backend.ledger.database import Database, outdate
from backend.ledger.records import Claim, Key, State
from backend.ledger.schema import judgement as judgements
from backend.ledger.schema import work
from backend.ledger.work import answers_to, is_key, pause_after, sayable, task_of
from backend.types import Judgement
from backend.wire import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement

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
        The next one looks at what exists before it posts.
        """
        token = f"{holder}{HOLDER_ENDS}{uuid4().hex}"
        place = tuple_(work.c.project, work.c.task, work.c.model_version)
        wanted = place.in_([(key.project, key.task, key.model_version) for key in keys])
        query = select(work, judgements.c.body).join(judgements).where(wanted, self._open())
        with self._write() as db:
            rows = db.execute(query.with_for_update(skip_locked=True, of=work)).mappings().all()
            taken = work.c.id.in_([row["id"] for row in rows])
            db.execute(update(work).where(taken).values(claim=token, not_before=self._clock() + LEASE))
        return [
            Claim(
                Key(row["project"], row["task"], row["model_version"]),
                task_of(row),
                from_json(Judgement, row["body"]),
                token,
            )
            for row in rows
        ]

    def renew(self, claims: Sequence[Claim], lease: timedelta = LEASE) -> list[Claim]:
        """Start the lease anew, right before posting; the answer is those that nobody else took over meanwhile."""
        kept = []
        with self._write() as db:
            for claim in claims:
                mine = and_(is_key(claim.key), work.c.state == State.JUDGED, work.c.claim == claim.token)
                if db.execute(update(work).where(mine).values(not_before=self._clock() + lease)).rowcount:
                    kept.append(claim)
        return kept

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
        mine = work.c.claim.startswith(f"{holder}{HOLDER_ENDS}", autoescape=True)
        held = and_(work.c.state == State.JUDGED, work.c.not_before > self._clock(), mine)
        with self._write() as db:
            later = self._clock() + pause_after(1)
            return db.execute(update(work).where(held).values(claim="", not_before=later)).rowcount

    def mark_published(self, key: Key, prediction_id: int) -> None:
        """The prediction was read back from Label Studio. The first id that is told stays."""
        self.mark_all_published({key: prediction_id})

    def mark_all_published(self, published: Mapping[Key, int]) -> None:
        """The same for many, in one transaction."""
        now = self._clock()
        values = {"state": State.PUBLISHED, "published_at": now, "updated_at": now}
        with self._write() as db:
            for key, prediction_id in published.items():
                statement = update(work).where(is_key(key), work.c.state != State.PUBLISHED)
                done = {"prediction_id": prediction_id, "claim": "", "reason": "", "message": ""}
                db.execute(statement.values(**values, **done))
                outdate(db, answers_to(key))

    def postpone(self, keys: Sequence[Key], error: TaskError) -> None:
        """Write-back did not pass this time: the rows stay judged with the reason, and are due after a pause."""
        now = self._clock()
        values = {"reason": error.reason, "message": sayable(str(error)), "claim": "", "updated_at": now}
        columns = select(work.c.id, work.c.publish_attempts)
        with self._write() as db:
            for key in keys:
                row = db.execute(columns.where(is_key(key), work.c.state == State.JUDGED).with_for_update()).first()
                if row is None:
                    continue
                attempts = row.publish_attempts + 1
                later = {"publish_attempts": attempts, "not_before": now + pause_after(attempts)}
                db.execute(update(work).where(work.c.id == row.id).values(**values, **later))

    def give_up(self, key: Key, error: TaskError) -> None:
        """Write-back can never pass: the row is failed with the reason; its judgement is kept."""
        now = self._clock()
        values = {"state": State.FAILED, "reason": error.reason, "message": sayable(str(error))}
        with self._write() as db:
            mine = update(work).where(is_key(key), work.c.state == State.JUDGED)
            db.execute(mine.values(**values, claim="", updated_at=now))

    def hide(self, key: Key) -> None:
        """Never show this judgement: the project's own labeling config asks people without the model's opinion."""
        with self._write() as db:
            statement = update(work).where(is_key(key), work.c.state == State.JUDGED)
            db.execute(statement.values(shown=False, claim="", updated_at=self._clock()))
            outdate(db, answers_to(key))

    def reopen(self, project: int, tasks: Sequence[int], model_version: str) -> int:
        """Publish again what is no longer in Label Studio, e.g. predictions that someone deleted.

        Publishing looks at what exists first, so that reopening a task too many costs a request and adds nothing.
        """
        now = self._clock()
        mine = and_(
            work.c.project == project,
            work.c.task.in_(tasks),
            work.c.model_version == model_version,
            work.c.state == State.PUBLISHED,
        )
        values = {"state": State.JUDGED, "prediction_id": None, "not_before": now, "updated_at": now}
        with self._write() as db:
            return db.execute(update(work).where(mine).values(**values)).rowcount

    def _open(self) -> ColumnElement[bool]:
        return and_(work.c.state == State.JUDGED, work.c.shown, work.c.not_before <= self._clock())
