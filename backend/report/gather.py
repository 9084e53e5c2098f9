"""People's answers beside every model version's verdicts, streamed from the ledger into a few bytes per answer."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Generic, TypeVar

from backend.export.record import prompt_digest
from backend.label_studio.convert import read_labels
from backend.ledger import data_at
from backend.report.exposure import Exposure, exposure_of, exposure_to_any, fits
from backend.report.source import source_of
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
    from datetime import datetime

    from backend.label_studio.layout import Layout
    from backend.ledger import Annotation, Judged, Ledger
    from backend.types import Labels, Verdict

T = TypeVar("T", bound="Hashable")

NONE = -1  # a label that was not given
MOST_PROBLEMS = 20
OTHER_PROBLEMS = "others"
EVERY = 1000  # answers between two words on how far reading is


class Left(StrEnum):
    """Why an answer is in no figure."""

    DELETED = "deleted"
    SKIPPED = "skipped"
    BULK = "bulk"  # made by Label Studio out of predictions: nobody looked
    OLDER = "older"  # before the moment that the report begins with
    UNREADABLE = "unreadable"  # no label that the project's labeling config knows
    OTHER_DATA = "other data"  # the task had other videos or another prompt when the person answered
    REPEATED = "repeated"  # the same person answered the task again later


@dataclass
class Numbering(Generic[T]):
    """Numbers for things in the order in which they come."""

    numbers: dict[T, int] = field(default_factory=dict)

    def __call__(self, thing: T) -> int:
        """Its number, a new one for a new thing."""
        return self.numbers.setdefault(thing, len(self.numbers))


def _labels() -> dict[Dimension, array[int]]:
    return {dimension: array("b") for dimension in Dimension}


def _reals() -> dict[Dimension, array[float]]:
    return {dimension: array("d") for dimension in Dimension}


@dataclass
class Answers:
    """One row per answer that counts; `human` holds preferences or NONE, `created` seconds since 1970.

    `data` tells answers apart that are to different videos or prompts of one task.
    """

    task: array[int] = field(default_factory=lambda: array("q"))
    data: array[int] = field(default_factory=lambda: array("i"))
    annotator: array[int] = field(default_factory=lambda: array("i"))
    exposure: array[int] = field(default_factory=lambda: array("b"))
    source: array[int] = field(default_factory=lambda: array("i"))
    prompt: array[int] = field(default_factory=lambda: array("i"))
    created: array[int] = field(default_factory=lambda: array("q"))
    human: dict[Dimension, array[int]] = field(default_factory=_labels)


@dataclass
class Comparisons:
    """One row per answer and model version that judged its task.

    `answer` is the row in `Answers`. `margin` is P(Video 1) - P(Video 2); `confidence` and `margin` are NaN where the
    engine gave no odds.
    """

    answer: array[int] = field(default_factory=lambda: array("i"))
    version: array[int] = field(default_factory=lambda: array("h"))
    exposure: array[int] = field(default_factory=lambda: array("b"))
    model: dict[Dimension, array[int]] = field(default_factory=_labels)
    confidence: dict[Dimension, array[float]] = field(default_factory=_reals)
    margin: dict[Dimension, array[float]] = field(default_factory=_reals)


@dataclass
class Verdicts:
    """Counts over all judged tasks of one version, answered or not.

    `checked` counts verdicts that were judged in both orders of the videos, `order_dependent` those that changed.
    """

    tasks: int = 0
    labels: dict[Dimension, Counter[Preference]] = field(default_factory=lambda: {d: Counter() for d in Dimension})
    checked: Counter[Dimension] = field(default_factory=Counter)
    order_dependent: Counter[Dimension] = field(default_factory=Counter)

    def add(self, judged: Judged) -> None:
        """Count one task."""
        self.tasks += 1
        for dimension, verdict in judged.verdicts.items():
            self.labels[dimension][verdict.preference] += 1
            if verdict.order_dependent is not None:
                self.checked[dimension] += 1
                self.order_dependent[dimension] += verdict.order_dependent


@dataclass
class Gathered:
    """Everything the figures are computed from; numbers stand for versions, annotators and sources in that order."""

    answers: Answers = field(default_factory=Answers)
    comparisons: Comparisons = field(default_factory=Comparisons)
    verdicts: dict[str, Verdicts] = field(default_factory=dict)
    versions: Numbering[str] = field(default_factory=Numbering)
    annotators: Numbering[int | None] = field(default_factory=Numbering)
    sources: Numbering[str] = field(default_factory=Numbering)
    prompts: Numbering[bytes] = field(default_factory=Numbering)
    left: Counter[Left] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    unjudged: int = 0

    def note(self, problems: Iterable[str]) -> None:
        """Count what the labeling config has no meaning for; of endlessly many kinds only the first are kept apart."""
        for problem in problems:
            known = problem in self.problems or len(self.problems) < MOST_PROBLEMS
            self.problems[problem if known else OTHER_PROBLEMS] += 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers and versions a report is about: all versions where none is named, all answers without `since`."""

    versions: Collection[str] = ()
    since: datetime | None = None


def gather(
    ledger: Ledger,
    project: int,
    layout: Layout,
    wanted: Wanted,
    told: Callable[[int], None] = lambda _count: None,
) -> Gathered:
    """Read a project's answers and verdicts once; `told` hears now and then how many answers were read.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    gathered, count, changes = Gathered(), 0, ledger.data_changes(project)
    for answers, judged in _by_task(ledger.annotations(project), ledger.judged(project)):
        for one in _wanted(judged, wanted):
            gathered.verdicts.setdefault(one.model_version, Verdicts()).add(one)
        changed = changes.get(answers[0].task, ()) if answers else ()
        fitting = {answer.id: [one for one in judged if fits(answer, one, changed)] for answer in answers}
        of_others = {answer.id for answer in answers if judged and not fitting[answer.id]}
        for annotation, labels in _standing(gathered, answers, layout, wanted, of_others):
            seen = annotation.may_have_seen(one.published_at for one in judged)
            mine = fitting[annotation.id]
            data = data_at(annotation.updated_at, changed)
            kept = _wanted(mine, wanted)
            _take_in(gathered, annotation, labels, mine, kept, data=data, blind=layout.blind, seen=seen)
        before, count = count, count + len(answers)
        if before // EVERY != count // EVERY:
            told(count)
    told(count)
    return gathered


def _wanted(judged: Sequence[Judged], wanted: Wanted) -> list[Judged]:
    return [one for one in judged if not wanted.versions or one.model_version in wanted.versions]


def _by_task(
    annotations: Iterator[Annotation], judged: Iterator[Judged]
) -> Iterator[tuple[list[Annotation], list[Judged]]]:
    """Both streams, which are ordered by task, side by side."""
    verdicts = groupby(judged, key=lambda one: one.task.task)
    waiting = next(verdicts, None)
    for task, group in groupby(annotations, key=lambda annotation: annotation.task):
        while waiting is not None and waiting[0] < task:
            yield [], list(waiting[1])
            waiting = next(verdicts, None)
        if waiting is not None and waiting[0] == task:
            yield list(group), list(waiting[1])
            waiting = next(verdicts, None)
        else:
            yield list(group), []
    while waiting is not None:
        yield [], list(waiting[1])
        waiting = next(verdicts, None)


def _standing(
    gathered: Gathered,
    annotations: Iterable[Annotation],
    layout: Layout,
    wanted: Wanted,
    of_others: Collection[int],
) -> list[tuple[Annotation, Labels]]:
    """The answers to one task that count, one per person; the others are counted with what they are.

    Those `of_others` are to other videos or another prompt than were judged.
    """
    found: dict[Hashable, tuple[Annotation, Labels]] = {}
    for annotation in sorted(annotations, key=lambda one: (one.updated_at, one.id)):
        reading = read_labels(layout, annotation.result)
        reason = _left_out(annotation, reading.labels, wanted)
        if reason is None and annotation.id in of_others:
            reason = Left.OTHER_DATA
        if reason is not None:
            gathered.left[reason] += 1
            continue
        gathered.note(reading.problems)
        gathered.left[Left.REPEATED] += annotation.person in found
        found[annotation.person] = (annotation, reading.labels)
    return list(found.values())


def _left_out(annotation: Annotation, labels: Labels, wanted: Wanted) -> Left | None:
    if annotation.deleted:
        return Left.DELETED
    if annotation.was_cancelled:
        return Left.SKIPPED
    if annotation.bulk:
        return Left.BULK
    if wanted.since is not None and annotation.updated_at < wanted.since:
        return Left.OLDER
    return None if labels else Left.UNREADABLE


def _take_in(
    gathered: Gathered,
    annotation: Annotation,
    labels: Labels,
    judged: list[Judged],
    kept: list[Judged],
    *,
    data: int,
    blind: bool,
    seen: bool,
) -> None:
    """Add an answer, and its comparison with each version's verdicts."""
    answers = gathered.answers
    row = len(answers.task)
    answers.task.append(annotation.task)
    answers.data.append(data)
    answers.annotator.append(gathered.annotators(annotation.completed_by))
    answers.exposure.append(_number(exposure_to_any(annotation, judged, blind=blind, seen=seen)))
    answers.created.append(int(annotation.created_at.timestamp()))
    answers.source.append(gathered.sources(source_of(judged[0].task) if judged else "unknown"))
    answers.prompt.append(gathered.prompts(prompt_digest(judged[0].task.prompt) if judged else b""))
    for dimension in Dimension:
        answers.human[dimension].append(labels.get(dimension, NONE))
    gathered.unjudged += not kept
    for one in kept:
        comparisons = gathered.comparisons
        comparisons.answer.append(row)
        comparisons.version.append(gathered.versions(one.model_version))
        comparisons.exposure.append(_number(exposure_of(annotation, one, blind=blind, seen=seen)))
        for dimension in Dimension:
            _add_verdict(comparisons, dimension, one.verdicts.get(dimension))


def _add_verdict(comparisons: Comparisons, dimension: Dimension, verdict: Verdict | None) -> None:
    odds = verdict.odds if verdict else None
    confidence = verdict.confidence if verdict else None
    comparisons.model[dimension].append(verdict.preference if verdict else NONE)
    comparisons.confidence[dimension].append(float("nan") if confidence is None else confidence)
    comparisons.margin[dimension].append(float("nan") if odds is None else odds[1] - odds[2])


def _number(exposure: Exposure) -> int:
    return list(Exposure).index(exposure)
