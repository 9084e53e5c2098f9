"""The ledger's tables. A change here that old files cannot take raises `SCHEMA_VERSION`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from backend.types import Dimension

if TYPE_CHECKING:
    from sqlalchemy import Dialect

SCHEMA_VERSION = 1

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, aware UTC datetimes out; SQLite itself knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a naive datetime is refused, because nobody knows which zone it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

# PostgreSQL counts on at each row that is entered, also where it is known; SQLite numbers none but INTEGER by itself.
LARGE_ID = BigInteger().with_variant(Integer, "sqlite")

# Written out, since SQLite uses a partial index only where a statement says the very same.
IS_FAILED = text("state = 'failed'")

work = Table(
    "work",
    metadata,
    Column("id", LARGE_ID, primary_key=True),
    Column("project", BigInteger, nullable=False),
    Column("task", BigInteger, nullable=False),
    Column("model_version", String(255), nullable=False),
    Column("video1", Text, nullable=False),
    Column("video2", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("player_fps", JSON, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("publish_attempts", Integer, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("claim", String(255), nullable=False),
    Column("prediction_id", BigInteger),
    Column("not_before", UtcDateTime, nullable=False),
    Column("entered_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("judged_at", UtcDateTime),
    Column("published_at", UtcDateTime),
    UniqueConstraint("project", "task", "model_version"),
    Index("work_by_state", "state", "not_before", "shown", "project", "task", "model_version"),
    Index("work_by_version", "project", "model_version", "state", "shown"),
    Index("work_by_judged", "project", "judged_at"),
    Index("work_by_reason", "state", "project", "reason", "updated_at"),
    Index(
        "work_failed", "project", "model_version", "reason", "task", sqlite_where=IS_FAILED, postgresql_where=IS_FAILED
    ),
    Index("work_by_published", "project", "published_at"),
    Index("work_by_prediction", "prediction_id"),
)

# Apart from `work`, so that counting and paging never read the reasoning of a hundred thousand tasks.
judgement = Table(
    "judgement",
    metadata,
    Column("work_id", ForeignKey(work.c.id), primary_key=True, autoincrement=False),
    Column("body", JSON, nullable=False),
)

# When a task was entered with other videos or another prompt than it had: older answers are to the old ones.
data_change = Table(
    "data_change",
    metadata,
    Column("project", BigInteger, primary_key=True, autoincrement=False),
    Column("task", BigInteger, primary_key=True, autoincrement=False),
    Column("changed_at", UtcDateTime, primary_key=True),
)

project = Table(
    "project",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("title", Text, nullable=False),
    Column("label_config", Text, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("synced_to", UtcDateTime),
    Column("sync_not_before", UtcDateTime, nullable=False),
)

annotation = Table(
    "annotation",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("project", BigInteger, nullable=False),
    Column("task", BigInteger, nullable=False),
    Column("completed_by", BigInteger),
    Column("result", JSON, nullable=False),
    Column("parent_prediction", BigInteger),
    Column("was_cancelled", Boolean, nullable=False),
    Column("lead_time", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Index("annotation_by_task", "project", "task"),
)

# One row per project that anything was ever switched for; project 0 stands for all of them.
control = Table(
    "control",
    metadata,
    Column("project", BigInteger, primary_key=True, autoincrement=False),
    Column("paused", Boolean, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("taken_after", BigInteger, nullable=False),
    Column("taken_to", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# What came of comparing each answer with the judgement beside it, so that counting agreement reads no reasoning.
# Columns are named like the dimensions, and hold `agreement.compare.Comparison`s; `score` is that of the judgement.
comparison = Table(
    "comparison",
    metadata,
    Column("annotation", BigInteger, primary_key=True, autoincrement=False),
    Column("project", BigInteger, nullable=False),
    Column("task", BigInteger, nullable=False),
    Column("model_version", String(255), nullable=False),
    Column("shown", Boolean, nullable=False),
    *(Column(dimension.value, String(16), nullable=False) for dimension in Dimension),
    Column("score", Float),
    Index("comparison_by_task", "project", "task"),
    Index("comparison_by_outcome", "project", "model_version", "shown", *(dimension.value for dimension in Dimension)),
)

# How a raw score of a project and model version is to be read; only where that is better than the raw score.
calibration = Table(
    "calibration",
    metadata,
    Column("project", BigInteger, primary_key=True, autoincrement=False),
    Column("model_version", String(255), primary_key=True),
    Column("slope", Float, nullable=False),
    Column("intercept", Float, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("brier_before", Float, nullable=False),
    Column("brier", Float, nullable=False),
)

# Tasks whose answers or judgements have changed since they were compared.
uncompared = Table(
    "uncompared",
    metadata,
    Column("project", BigInteger, primary_key=True, autoincrement=False),
    Column("task", BigInteger, primary_key=True, autoincrement=False),
)

# A secret: with it, pseudonyms in a dataset can be traced back to users of Label Studio.
pseudonym_salt = Table(
    "pseudonym_salt",
    metadata,
    Column("project", BigInteger, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
)

exported = Table(
    "exported",
    metadata,
    Column("annotation", BigInteger, primary_key=True, autoincrement=False),
    Column("model_version", String(255), primary_key=True),
    Column("project", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("exported_by_project", "project"),
)

# The latest export of a project that was asked for with Start Training.
export_request = Table(
    "export_request",
    metadata,
    Column("project", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("folder", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)
