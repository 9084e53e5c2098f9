"""The ledger's answers as records, one task after the other: one per person, and only what a person has looked at."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from backend.export.record import record_of
from backend.label_studio.convert import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from backend.export.record import Record
    from backend.label_studio.layout import Layout
    from backend.ledger import Annotation, Answered


class LeftOut(StrEnum):
    """Why an annotation is no record."""

    DELETED = "deleted"
    SKIPPED = "skipped"  # the person pressed Skip
    BULK = "bulk"  # made from predictions in the Data Manager: nobody looked
    OTHER_DATA = "other_data"  # the task had other videos or another prompt when the person answered
    NOT_JUDGED = "not_judged"  # the ledger has no judgement beside it
    SUPERSEDED = "superseded"  # of the same person's answers to the same task another counts: the latest with a label
    NOT_SELECTED = "not_selected"


def read_records(
    answered: Iterable[Answered],
    layout: Layout,
    name_of: Callable[[int | None], str],
    left_out: Counter[LeftOut],
) -> Iterator[Record]:
    """Records by task and annotation; `answered` comes by task. What is left out is counted by reason."""
    for _task, group in groupby(answered, key=lambda one: one.annotation.task):
        yield from _of_task(group, layout, name_of, left_out)


def _of_task(
    answered: Iterable[Answered],
    layout: Layout,
    name_of: Callable[[int | None], str],
    left_out: Counter[LeftOut],
) -> Iterator[Record]:
    latest: dict[object, Answered] = {}
    for one in answered:
        if reason := _unusable(one):
            left_out[reason] += 1
            continue
        person = one.annotation.person
        if (before := latest.get(person)) is not None:
            left_out[LeftOut.SUPERSEDED] += 1
            if _order(before.annotation, layout) > _order(one.annotation, layout):
                continue
        latest[person] = one
    for one in sorted(latest.values(), key=lambda one: one.annotation.id):
        if record := record_of(one, layout, name_of(one.annotation.completed_by)):
            yield record


def _unusable(one: Answered) -> LeftOut | None:
    annotation = one.annotation
    if annotation.deleted:
        return LeftOut.DELETED
    if annotation.was_cancelled:
        return LeftOut.SKIPPED
    if annotation.bulk:
        return LeftOut.BULK
    if one.other_data:
        return LeftOut.OTHER_DATA
    return LeftOut.NOT_JUDGED if one.judgement is None else None


def _order(annotation: Annotation, layout: Layout) -> tuple[bool, datetime, int]:
    """The greatest counts; an answer without a label, e.g. of another labeling config, replaces none that has some."""
    return bool(read_labels(layout, annotation.result).labels), annotation.updated_at, annotation.id
