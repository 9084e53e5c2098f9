"""The ledger's connection: one engine, short transactions, library errors mapped to `LedgerError`."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, inspect, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from backend.errors import LedgerError
from backend.ledger.schema import SCHEMA_VERSION, annotation, comparison, metadata, schema_version, uncompared, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement

BUSY_TIMEOUT_S = 30
CHUNK = 500  # rows per statement: five hundred keys of three values stay under SQLite's limit of variables
LOCK_OF_SCHEMA = 0x5652_5448  # any number that only this program uses as a PostgreSQL advisory lock


def utc_now() -> datetime:
    """The time of this machine's clock."""
    return datetime.now(UTC)


class Database:
    """Transactions on the ledger's tables, and the rules that hold for all of them.

    `blind_share` of the tasks are judged but never shown; a task is tried `max_attempts` times. `clock` gives the time
    that is written and compared.
    """

    def __init__(self, engine: Engine, *, blind_share: float, max_attempts: int, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._blind_share = blind_share
        self._max_attempts = max_attempts
        self._clock = clock

    @classmethod
    def open(
        cls, url: str, *, blind_share: float = 0.0, max_attempts: int = 3, clock: Callable[[], datetime] = utc_now
    ) -> Self:
        """The ledger at a database URL; a new database gets its tables.

        Raises:
            LedgerError: the database cannot be reached, or holds another schema version.
        """
        try:
            engine = _engine(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise LedgerError(f"DATABASE_URL cannot be used: {error}. Try sqlite:///vrthinker.db.") from None
        ledger = cls(engine, blind_share=blind_share, max_attempts=max_attempts, clock=clock)
        try:
            with ledger._write() as db:
                _prepare(db)
        except LedgerError:
            ledger.close()
            raise
        return ledger

    @property
    def max_attempts(self) -> int:
        """How often a task is tried before it is recorded as failed."""
        return self._max_attempts

    @property
    def place(self) -> str:
        """The database's URL without its password, for people."""
        return _place(self._engine)

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with _mapped(self._engine), self._engine.begin() as db:
            yield db

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with _mapped(self._engine), self._engine.connect().execution_options(vrthinker_reads=True) as db:
            yield db


@contextmanager
def _mapped(engine: Engine) -> Iterator[None]:
    """The one place where the database's errors become ours; the URL is shown without its password."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise LedgerError(
            f"The ledger at {_place(engine)} cannot be used: {cause}. "
            "Check DATABASE_URL and that the database is up and writable."
        ) from error


def _place(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        engine = create_engine(target, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if target.get_backend_name() == "postgresql":
        if target.drivername == "postgresql":
            target = target.set(drivername="postgresql+psycopg")
        return create_engine(target, pool_pre_ping=True)
    raise ArgumentError(f"{target.get_backend_name()} is neither sqlite nor postgresql")


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401  # the driver's own object
    """WAL, so that the status page reads while the publisher writes.

    synchronous=NORMAL may forget the last commits after a power cut, never after a crash of the process; whatever is
    forgotten is done again, because every step is idempotent.
    """
    connection.isolation_level = None  # the driver would begin too late: see _begin_sqlite
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


@retry(
    retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY),
    stop=stop_after_delay(BUSY_TIMEOUT_S),
    wait=wait_random(0.01, 0.1),
    reraise=True,
)
def _write_ahead(connection: Any) -> None:  # noqa: ANN401  # the driver's own object
    """Where several processes open a new ledger at once, SQLite refuses all but one, without waiting as elsewhere."""
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(db: Connection) -> None:
    """Writers lock at once: a reader that turns into a writer is refused by SQLite without waiting."""
    db.exec_driver_sql("BEGIN" if db.get_execution_options().get("vrthinker_reads") else "BEGIN IMMEDIATE")


def _prepare(db: Connection) -> None:
    """Make the tables, or check that they are of this version; safe when several processes start at once."""
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_OF_SCHEMA})
    never_compared = not inspect(db).has_table(comparison.name)
    metadata.create_all(db)
    for index in work.indexes:  # of which an older ledger may lack some
        index.create(db, checkfirst=True)
    if never_compared:  # a ledger of before there were comparisons
        outdate(db, ~annotation.c.deleted)
    found = db.scalar(select(schema_version.c.version))
    if found is None:
        db.execute(insert(schema_version).values(version=SCHEMA_VERSION))
    elif found != SCHEMA_VERSION:
        raise LedgerError(
            f"The ledger holds schema version {found}, this program writes version {SCHEMA_VERSION}. "
            "Use the program that wrote it, or point DATABASE_URL at a new database."
        )


def outdate(db: Connection, which: ColumnElement[bool]) -> None:
    """Have the tasks of the annotations that meet the condition compared again.

    A mark that is there is written anew, so that whoever is about to take it waits until this change is committed.
    """
    told = select(annotation.c.project, annotation.c.task).where(which).distinct()
    statement = upsert(db, uncompared).from_select(["project", "task"], told)
    new = {"task": statement.excluded.task}
    db.execute(statement.on_conflict_do_update(index_elements=["project", "task"], set_=new))


def upsert(db: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of this database's dialect that can say what to do on conflict."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)
