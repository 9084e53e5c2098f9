"""New tasks of the projects that take them in by themselves: here is found what no webhook told of."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from backend.errors import LabelConfigError, LabelStudioError
from backend.jobs.looking import look_until
from backend.label_studio.records import TaskFilter, without_prediction_of
from backend.ledger import Automatic
from backend.log import line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from backend.intake import LedgerIntake
    from backend.label_studio import records
    from backend.ledger import Ledger

logger = logging.getLogger(__name__)

BATCH = 500  # tasks held at a time
OVERLAP = 100  # ids looked at again: a task with a smaller id may be committed after one with a greater id


class Tasks(Protocol):
    """Label Studio, as finding new tasks needs it; every method raises `LabelStudioError`."""

    def project(self, project: int) -> records.Project:
        """The project as it is now."""
        ...

    def newest_task(self, project: int) -> int:
        """The greatest id of the project's tasks, 0 where it has none."""
        ...

    def tasks(self, project: int, *, filters: Sequence[TaskFilter] = ()) -> Iterator[records.Task]:
        """The project's tasks that meet all filters, in the order of their ids."""
        ...


class AutoIntake:
    """Takes in tasks above the last id that was looked at; what is known already is passed over by the ledger."""

    def __init__(self, ledger: Ledger, label_studio: Tasks, intake: LedgerIntake) -> None:
        self._ledger = ledger
        self._label_studio = label_studio
        self._intake = intake

    def run_until(self, stopped: Event, every_s: float) -> None:
        """Look, and look again `every_s` seconds later."""
        look_until(stopped, every_s, self.run, "new tasks not looked for")

    def run(self) -> int:
        """Look once at every such project; the answer is how many tasks were new.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        new = 0
        for project in self._ledger.automatic():
            try:
                new += self._take(project)
            except (LabelStudioError, LabelConfigError) as error:
                logger.warning(line("new tasks not taken in", project=project.project, message=error))
        return new

    def _take(self, wanted: Automatic) -> int:
        newest = self._label_studio.newest_task(wanted.project)
        if newest < wanted.to:  # the newest tasks were deleted, and Label Studio may give their ids again
            self._ledger.newest_is(wanted.project, newest)
            wanted = Automatic(wanted.project, min(wanted.after, newest), newest)
        after, new = max(wanted.after, wanted.to - OVERLAP), 0
        filters = (TaskFilter("id", "greater", "Number", after), without_prediction_of(self._intake.model_version))
        tasks = self._label_studio.tasks(wanted.project, filters=filters)
        while batch := list(islice(tasks, BATCH)):
            config = self._label_studio.project(wanted.project).label_config
            raw = [{"id": task.id, "project": wanted.project, "data": dict(task.data)} for task in batch]
            new += self._intake.take(wanted.project, config, raw, opened=False, again=False).new
            self._ledger.taken_to(wanted.project, max(wanted.to, batch[-1].id))
        if new:
            logger.info(line("new tasks taken in", project=wanted.project, tasks=new))
        return new
