"""People's answers beside the model's, compared as they come in: what the status page tells of agreement."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from backend.agreement.compare import compare
from backend.errors import LabelConfigError
from backend.jobs.looking import look_until
from backend.label_studio.convert import labels_of
from backend.label_studio.layout import parse_layout
from backend.ledger import Compared
from backend.log import line
from backend.reasoning.swap import score

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from datetime import datetime
    from threading import Event

    from backend.label_studio.layout import Layout
    from backend.ledger import Answered, Ledger

logger = logging.getLogger(__name__)

BATCH = 100  # tasks per transaction, which other writers wait for
EVERY_S = 1.0


class Comparing:
    """Compares what has changed. Several processes may do it at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._layout = lru_cache(maxsize=8)(parse_layout)

    def run_until(self, stopped: Event, every_s: float = EVERY_S) -> None:
        """Compare all that has changed, and look again `every_s` seconds later."""

        def look() -> None:
            while not stopped.is_set() and self.run():
                pass

        look_until(stopped, every_s, look, "not compared")

    def run(self) -> int:
        """Compare one batch; the answer is how many tasks it had.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        if not self._ledger.uncompared():
            return 0
        with self._ledger.comparing(BATCH) as (places, found):
            for project in sorted({project for project, _ in places}):
                found += self._compared(project, [task for number, task in places if number == project])
        return len(places)

    def _compared(self, project: int, tasks: Iterable[int]) -> Iterator[Compared]:
        layout = self._layout_of(project)
        if layout is None:
            return
        for answered in _standing(layout, self._ledger.answered(project, tasks=sorted(tasks))):
            if (one := _compared(layout, answered)) is not None:
                yield one

    def _layout_of(self, project: int) -> Layout | None:
        """How the project's answers are to be read; None while nobody can: a repaired config has all compared again."""
        known = self._ledger.project(project)
        try:
            return self._layout(known.label_config) if known else None
        except LabelConfigError as error:
            logger.warning(line("not compared", project=project, message=error))
            return None


def _standing(layout: Layout, answers: Iterable[Answered]) -> Iterable[Answered]:
    """What people answered and looked at: of one person's answers to one task the latest that has a label.

    Answers without a judgement beside them are passed over first: one to other videos replaces none to these.
    """

    def order(one: Answered) -> tuple[bool, datetime, int]:
        annotation = one.annotation
        return bool(labels_of(layout, annotation.result)), annotation.updated_at, annotation.id

    found: dict[tuple[int, Hashable], Answered] = {}
    for one in sorted(answers, key=order):
        annotation = one.annotation
        if one.judgement is not None and not (annotation.deleted or annotation.was_cancelled or annotation.bulk):
            found[annotation.task, annotation.person] = one
    return found.values()


def _compared(layout: Layout, answered: Answered) -> Compared | None:
    """None for an answer without a judgement beside it."""
    annotation, key, judgement = answered.annotation, answered.key, answered.judgement
    if key is None or judgement is None:
        return None
    outcome = compare(judgement.labels, labels_of(layout, annotation.result))
    shown = answered.may_have_seen(blind=layout.blind)
    return Compared(annotation.id, key.project, key.task, key.model_version, shown, outcome, score(judgement))
