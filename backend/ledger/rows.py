"""Rows of `work` and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_

from backend.ledger.records import Entry, Key, State
from backend.ledger.schema import annotation, work
from backend.types import PairwiseTask

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

    from backend.wire import Order


def key_of(order: Order) -> Key:
    """The row an order belongs to."""
    return Key(order.task.project, order.task.task, order.model_version)


def is_key(key: Key) -> Any:  # noqa: ANN401  # SQLAlchemy's own expression type is not generic here
    """The condition that selects one row."""
    return and_(work.c.project == key.project, work.c.task == key.task, work.c.model_version == key.model_version)


def answers_to(key: Key) -> ColumnElement[bool]:
    """The condition that selects people's annotations of a row's task."""
    return and_(annotation.c.project == key.project, annotation.c.task == key.task)


def task_of(row: RowMapping) -> PairwiseTask:
    """The task in a row of `work`."""
    fps1, fps2 = row["player_fps"]
    return PairwiseTask(row["project"], row["task"], row["video1"], row["video2"], row["prompt"], (fps1, fps2))


def entry_of(row: RowMapping) -> Entry:
    """The whole row."""
    same = (
        "shown",
        "attempts",
        "publish_attempts",
        "reason",
        "message",
        "prediction_id",
        "not_before",
        "entered_at",
        "judged_at",
        "published_at",
    )
    key = Key(row["project"], row["task"], row["model_version"])
    return Entry(key=key, task=task_of(row), state=State(row["state"]), **{name: row[name] for name in same})
