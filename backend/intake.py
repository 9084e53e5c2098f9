"""What happens to the work and the news that Label Studio sends: into the ledger first, then onto the queue."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from backend.errors import LabelConfigError, LabelStudioError, QueueError, TaskDataError
from backend.label_studio import records
from backend.label_studio.convert import parse_task
from backend.label_studio.layout import parse_layout
from backend.label_studio.plugin import MAX_ID, project_number
from backend.ledger import Annotation, Project
from backend.ledger.text import cleaned
from backend.log import line
from backend.wire import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from backend.errors import TaskError
    from backend.label_studio.layout import Layout
    from backend.ledger import Ledger
    from backend.types import PairwiseTask

logger = logging.getLogger(__name__)

LAYOUTS = 32  # labeling configs kept parsed
REFUSALS = 1000  # projects whose refused config is remembered
NO_ID = "no_id"


class JudgeQueue(Protocol):
    """The way to the workers; both raise `QueueError` when Redis cannot be used."""

    def enqueue(self, orders: Iterable[Order], *, at_front: bool = False) -> None:
        """Have new orders judged; `at_front` before everything that waits."""
        ...

    def promote(self, orders: Iterable[Order]) -> int:
        """Put those of the orders that wait before all others."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of the tasks of one request: `rejected` counts by reason.

    Of the `known` ones so many are `published_again`, because their predictions are gone from Label Studio.
    """

    new: int = 0
    known: int = 0
    published_again: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


class LedgerIntake:
    """Takes in tasks and annotations for one model version; `observe` is told of every request's outcome."""

    def __init__(
        self,
        ledger: Ledger,
        queue: JudgeQueue,
        model_version: str,
        observe: Callable[[Accepted], None] = lambda _accepted: None,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._model_version = model_version
        self._observe = observe
        self._layout: Callable[[str], Layout] = lru_cache(maxsize=LAYOUTS)(parse_layout)
        self._refusals: dict[int, str] = {}

    @property
    def model_version(self) -> str:
        """The version of every prediction this backend makes."""
        return self._model_version

    def setup(self, project: int | None, label_config: str) -> None:
        """Check a labeling config, and remember it where its project is known.

        Raises:
            LabelConfigError: pairwise judging is not possible with it.
            LedgerError: the ledger cannot be used.
        """
        try:
            self._layout(label_config)
        except LabelConfigError as error:
            if project is not None and len(self._refusals) < REFUSALS:
                self._refusals[project] = str(error)
            raise
        if project is not None:
            self._refusals.pop(project, None)
            self._remember(project, label_config)

    def refusals(self) -> dict[int, str]:
        """Projects whose config was refused when it was last seen, and why: Label Studio says just "Error" then."""
        return dict(self._refusals)

    def accept(
        self, project: int | None, label_config: str, tasks: Sequence[object], *, context: object = None
    ) -> list[list[dict[str, Any]]]:
        """Record the tasks and queue those that are new; the answer is one empty list each: "queued".

        A task without usable data is recorded as failed, with the reason. A task asked for alone is one that a person
        has opened (or an interactive request, with a `context`): it goes before all others.

        Raises:
            LabelConfigError: no task of this config can be judged.
            LedgerError: the ledger cannot be used; nothing was queued.
        """
        self.take(project, label_config, tasks, opened=len(tasks) == 1 or bool(context))
        return [[] for _ in tasks]

    def take(
        self,
        project: int | None,
        label_config: str,
        tasks: Sequence[object],
        *,
        opened: bool,
        first: bool = False,
        again: bool = True,
    ) -> Accepted:
        """The same for tasks that nobody waits to have answered.

        `opened` puts all of them before all others, `first` only those that are new, in their order. Cancelled tasks
        are entered anew, and predictions that someone deleted published again, unless nobody asked for them `again`.
        """
        good, rejected = self._sort(self._layout(label_config), project, tasks)
        new = self._ledger.enter(good, self._model_version, again=again)
        try:
            self._queue_up(good, new, opened=opened, first=first)
        except QueueError as error:
            # The rows are there: reconciling enqueues them as soon as Redis is back.
            logger.warning(line("queued in the ledger only", project=project, tasks=len(new), message=error))
        reopened = self._publish_again(good, tasks) if again else 0
        accepted = Accepted(len(new), len(good) - len(new), reopened, rejected)
        self._observe(accepted)
        return accepted

    def hear(self, event: str, data: Mapping[str, Any]) -> None:
        """Keep what a webhook says about a project and its annotations, until reconciling brings the truth.

        Raises:
            LabelStudioError: it is not what Label Studio 1.23 sends.
            LedgerError: the ledger cannot be used.
        """
        project = self._remember_project(data.get("project"))
        match event:
            case "ANNOTATION_CREATED" | "ANNOTATION_UPDATED" | "ANNOTATIONS_CREATED":
                told = data.get("annotation")
                seen = [_annotation(one, project) for one in (told if isinstance(told, list) else [told])]
                self._ledger.remember_annotation(*seen)
            case "ANNOTATIONS_DELETED":
                gone = data.get("annotations")
                self._ledger.mark_annotations_deleted(_ids(gone if isinstance(gone, list) else []))
            case "TASKS_CREATED":
                self._take_automatically(project, data)
            case "START_TRAINING":
                new = self._ledger.ask_for_export(project)
                logger.info(line("export asked for", project=project, new=new))

    def _take_automatically(self, project: int, data: Mapping[str, Any]) -> None:
        """Take in the tasks that a webhook tells, where the project wants it.

        Raises:
            LabelConfigError: no task of the project can be judged.
        """
        tasks, known = data.get("tasks"), self._ledger.project(project)
        if isinstance(tasks, list) and known is not None and self._ledger.is_automatic(project):
            self.take(project, known.label_config, tasks, opened=False, again=False)

    def _sort(
        self, layout: Layout, project: int | None, tasks: Sequence[object]
    ) -> tuple[list[PairwiseTask], Counter[str]]:
        """The usable tasks; the others are recorded as failed and counted by reason."""
        good: list[PairwiseTask] = []
        bad: list[tuple[int, int, TaskError]] = []
        nowhere = 0
        for task in tasks:
            raw = task if isinstance(task, dict) else {}
            place = _place(project, raw)
            if place is None:
                nowhere += 1
                continue
            try:
                good.append(_storable(parse_task(layout, place[0], raw)))
            except TaskDataError as error:
                bad.append((*place, TaskDataError(cleaned(str(error)))))
                logger.warning(
                    line("task rejected", project=place[0], task=place[1], reason=error.reason, message=error)
                )
        self._ledger.reject_all(bad, self._model_version)
        rejected = Counter(error.reason for _, _, error in bad)
        if nowhere:
            logger.warning(line("tasks without a usable id are ignored", project=project, tasks=nowhere))
            rejected[NO_ID] = nowhere
        return good, rejected

    def _publish_again(self, good: Sequence[PairwiseTask], told: Sequence[object]) -> int:
        """Have the predictions written back once more that these tasks, as Label Studio shows them, do not have."""
        shown = {raw["id"] for raw in told if isinstance(raw, dict) and self._has_prediction(raw)}
        gone: dict[int, list[int]] = defaultdict(list)
        for task in good:
            if task.task not in shown:
                gone[task.project].append(task.task)
        return sum(self._ledger.reopen(project, ids, self._model_version) for project, ids in gone.items())

    def _has_prediction(self, raw: Mapping[str, object]) -> bool:
        if type(raw.get("id")) is not int or not isinstance(told := raw.get("predictions"), list):
            return False
        return any(isinstance(one, dict) and one.get("model_version") == self._model_version for one in told)

    def _queue_up(
        self, tasks: Sequence[PairwiseTask], new: Sequence[PairwiseTask], *, opened: bool, first: bool
    ) -> None:
        paused = self._ledger.paused()
        urgent = tasks if opened else new if first else ()
        for project in {task.project for task in urgent if paused.covers(task.project)}:
            chosen = [task.task for task in urgent if task.project == project]
            self._ledger.hurry(project, chosen, self._model_version)
        new = [task for task in new if not paused.covers(task.project)]  # reconciling enqueues the others in time
        self._queue.enqueue([Order(task, self._model_version) for task in new], at_front=opened or first)
        if opened:
            entered = set(new)
            waiting = [Order(task, self._model_version) for task in tasks if task not in entered]
            self._queue.promote(waiting)

    def _remember(self, project: int, label_config: str) -> None:
        """Keep the labeling config. Label Studio tells it with every page view: what is known is not written again."""
        known = self._ledger.project(project)
        if known is None or known.label_config != label_config:
            self._ledger.remember_project(Project(project, known.title if known else "", label_config))

    def _remember_project(self, told: object) -> int:
        """Keep what a webhook says of its project; the answer is the project's id."""
        project = told if isinstance(told, dict) else {}
        number, title, config = project_number(project.get("id")), project.get("title"), project.get("label_config")
        if number is None:
            raise LabelStudioError("The webhook names no project. Let it send its payload: Label Studio, Webhooks.")
        if isinstance(title, str) and isinstance(config, str):
            seen = Project(number, cleaned(title), cleaned(config))
            if self._ledger.project(number) != seen:
                self._ledger.remember_project(seen)
        return number


def _place(project: int | None, raw: Mapping[str, object]) -> tuple[int, int] | None:
    """The project and id under which a task can be recorded at all; the host's word for the project comes first."""
    task = raw.get("id")
    number = project if project is not None else project_number(raw.get("project"))
    if type(task) is not int or not 0 < task <= MAX_ID or number is None:
        return None
    return number, task


def _storable(task: PairwiseTask) -> PairwiseTask:
    """The task itself.

    Raises:
        TaskDataError: a text holds what no database stores: NUL, or half of a surrogate pair.
    """
    for name, text in (("Video 1", task.video1), ("Video 2", task.video2), ("the prompt", task.prompt)):
        if cleaned(text) != text:
            raise TaskDataError(
                f"Task {task.task}: the text of {name} holds a NUL or a broken Unicode character. "
                "Import it again as UTF-8."
            )
    return task


def _annotation(told: object, project: int) -> Annotation:
    seen = records.read(records.Annotation, records.with_result(told))
    return Annotation(
        id=seen.id,
        project=project,
        task=seen.task,
        completed_by=seen.completed_by,
        result=seen.result,
        parent_prediction=seen.parent_prediction,
        was_cancelled=seen.was_cancelled,
        lead_time=seen.lead_time,
        created_at=seen.created_at,
        updated_at=seen.updated_at,
        origin="webhook",
    )


def _ids(told: Iterable[object]) -> list[int]:
    ids = [one.get("id") for one in told if isinstance(one, dict)]
    return [number for number in ids if type(number) is int and 0 < number <= MAX_ID]
