"""A project's ledger -> its report: read once, then every figure in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backend.errors import SettingsError
from backend.export.record import pseudonym
from backend.label_studio.layout import parse_layout
from backend.report.agreement import Beside, beside, groups, parts
from backend.report.contest import contests
from backend.report.figures import Counts, Report, Version
from backend.report.gather import gather
from backend.report.hardest import Look, hardest
from backend.report.measure import share
from backend.report.people import people
from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from backend.ledger import Ledger, Project
    from backend.report.figures import Contest
    from backend.report.gather import Gathered, Verdicts, Wanted
    from backend.report.measure import Share
    from backend.report.strip import Strips
    from backend.types import PairwiseTask

MOST_DAYS, MOST_WEEKS = 31, 60  # more make the chart unreadable


def report_on(
    ledger: Ledger,
    project: int,
    wanted: Wanted,
    *,
    made_at: datetime,
    told: Callable[[int], None] = lambda _count: None,
    draw: Callable[[PairwiseTask], Strips] | None = None,
) -> Report:
    """The report on a project; `told` hears how many answers were read, `draw` makes pictures of a pair where asked.

    Raises:
        SettingsError: nothing is known of the project, or of a version that was asked for.
        LabelConfigError: the project's labeling config is not for pairwise judging.
        LedgerError: the ledger cannot be read.
    """
    known = ledger.project(project)
    if known is None:
        raise SettingsError(
            f"Nothing is known of project {project}. Its id is the number in its address in Label Studio; "
            f"vrthinker init --project {project} connects it."
        )
    _check_versions(ledger, project, wanted)
    gathered = gather(ledger, project, parse_layout(known.label_config), wanted, told)
    salt = ledger.pseudonym_salt(project)
    names = [pseudonym(user, project, salt) for user in gathered.annotators.numbers]
    return compose(gathered, known, wanted, Look(ledger, project, draw), names, made_at)


def _check_versions(ledger: Ledger, project: int, wanted: Wanted) -> None:
    present = {counts.model_version for counts in ledger.versions() if counts.project == project}
    if unknown := sorted(set(wanted.versions) - present):
        there = ", ".join(sorted(present)) or "none"
        raise SettingsError(f"--model-version {unknown[0]}: project {project} has no such version. There are: {there}.")


def compose(
    gathered: Gathered, project: Project, wanted: Wanted, look: Look, names: Sequence[str], made_at: datetime
) -> Report:
    """Every figure; `names` are the annotators' pseudonyms by their numbers."""
    found = {name: beside(gathered, gathered.versions(name)) for name in sorted(gathered.verdicts)}
    order = sorted(found, key=lambda name: -len(found[name].answer))
    period, starts = _periods(np.array(gathered.answers.created, np.int64))
    sources = list(gathered.sources.numbers)
    return Report(
        project=project.id,
        title=project.title,
        made_at=made_at,
        since=wanted.since,
        period=period,
        counts=_counts(gathered, made_at),
        versions=[_version(name, found[name], gathered.verdicts[name], look, names, sources, starts) for name in order],
        people=people(gathered.answers),
        contests=_contests(order, found),
        frames=look.draw is not None,
    )


def _version(
    name: str,
    rows: Beside,
    verdicts: Verdicts,
    look: Look,
    annotators: Sequence[str],
    sources: Sequence[str],
    starts: NDArray[np.datetime64],
) -> Version:
    periods, at = np.unique(starts[rows.answer], return_inverse=True)
    return Version(
        model_version=name,
        tasks=verdicts.tasks,
        answers=len(rows.answer),
        groups=groups(rows),
        position={d: _first(verdicts, d) for d in Dimension},
        swap={d: _consistent(verdicts, d) for d in Dimension},
        annotators=parts(rows, rows.annotator, annotators),
        sources=parts(rows, rows.source, sources),
        periods=parts(rows, at, periods.astype(str).tolist(), by_name=True),
        hardest=hardest(rows, name, annotators, look),
    )


def _first(verdicts: Verdicts, dimension: Dimension) -> Share:
    labels = verdicts.labels[dimension]
    return share(labels[Preference.VIDEO_1], labels[Preference.VIDEO_1] + labels[Preference.VIDEO_2])


def _consistent(verdicts: Verdicts, dimension: Dimension) -> Share:
    checked = verdicts.checked[dimension]
    return share(checked - verdicts.order_dependent[dimension], checked)


def _contests(order: Sequence[str], found: dict[str, Beside]) -> list[Contest]:
    """The version with the most answers against each other one."""
    first = order[:1]
    return [
        contest for name in first for other in order[1:] for contest in contests(found[name], name, found[other], other)
    ]


def _counts(gathered: Gathered, made_at: datetime) -> Counts:
    answers = gathered.answers
    created = np.array(answers.created, np.int64)
    return Counts(
        answers=len(answers.task),
        tasks=len(np.unique(np.array(answers.task, np.int64))),
        annotators=len(gathered.annotators.numbers),
        left={reason: gathered.left[reason] for reason in gathered.left if gathered.left[reason]},
        unjudged=gathered.unjudged,
        future=int((created > made_at.timestamp()).sum()),
        problems=dict(gathered.problems),
    )


def _periods(created: NDArray[np.int64]) -> tuple[str, NDArray[np.datetime64]]:
    """Days, weeks or months, as few as a chart can show, and in which of them each answer was given (its first day)."""
    days = created.astype("datetime64[s]").astype("datetime64[D]")
    span = (days.max() - days.min()).astype(int) + 1 if len(days) else 0
    if span <= MOST_DAYS:
        return "day", days
    if span <= MOST_WEEKS * 7:
        return "week", days - (days.astype(int) + 3) % 7  # day 0 of 1970 is a Thursday; weeks begin on Monday
    return "month", days.astype("datetime64[M]").astype("datetime64[D]")
