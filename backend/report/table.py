"""The report's tables as one CSV file: a row per figure, so that any spreadsheet can filter and pivot it."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from backend.report.measure import Estimate, Share
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backend.report.figures import Agreement, Contest, Group, Parts, People, Report, Version

FORMULA = tuple("=+-@\t\r")  # a spreadsheet would take such a cell for a formula


class Row(NamedTuple):
    """One figure; what does not apply is empty."""

    section: str
    model_version: str = ""
    exposure: str = ""
    name: str = ""
    dimension: str = ""
    measure: str = ""
    value: float | int | None = None
    low: float | None = None
    high: float | None = None
    counted: int | None = None
    of: int | None = None
    note: str = ""


def csv_of(report: Report) -> str:
    """The file's text."""
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow(Row._fields)
    for row in rows_of(report):
        writer.writerow([_safe(cell) for cell in row])
    return file.getvalue()


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def rows_of(report: Report) -> Iterator[Row]:
    """Every figure of the report."""
    for version in report.versions:
        yield from _version(version)
    for people in report.people:
        yield from _people(people)
    for contest in report.contests:
        yield from _contest(contest)
    counts = report.counts
    told: dict[str, int] = {"answers": counts.answers, "unjudged": counts.unjudged, "future": counts.future}
    told.update({reason.value: count for reason, count in counts.left.items()})
    for measure, value in told.items():
        yield Row("counts", measure=measure, value=value)


def _version(version: Version) -> Iterator[Row]:
    name = version.model_version
    for group in version.groups:
        for row in _group(group):
            yield row._replace(model_version=name)
    for measure, shares in {"share of Video 1": version.position, "swap consistency": version.swap}.items():
        for dimension, value in shares.items():
            yield _share(Row("model", name, dimension=dimension, measure=measure), value)
    for section, parts in {"annotator": version.annotators, "source": version.sources, "time": version.periods}.items():
        yield from _parts(section, name, parts)


def _group(group: Group) -> Iterator[Row]:
    for dimension, agreement in group.dimensions.items():
        yield from _agreement(Row("agreement", exposure=group.exposure, dimension=dimension), agreement)


def _agreement(base: Row, found: Agreement) -> Iterator[Row]:
    yield _share(base._replace(measure="accuracy with ties, by label"), found.with_ties)
    yield _share(base._replace(measure="accuracy without ties, by label"), found.without_ties)
    scored, calibration = found.scored, found.calibration
    yield _share(base._replace(measure="accuracy without ties, by margin", note=scored.missing), scored.without_ties)
    margin = base._replace(measure="accuracy with ties, by margin", of=scored.of, note=scored.missing)
    yield margin._replace(value=scored.with_ties)
    yield base._replace(measure="threshold of the margin", value=scored.threshold, of=scored.of)
    yield _estimate(base._replace(measure="Cohen's kappa", of=found.compared), found.kappa)
    ece = base._replace(measure="expected calibration error", of=calibration.of, note=calibration.missing)
    yield ece._replace(value=calibration.ece)
    for comparison, count in found.comparisons.items():
        yield base._replace(measure=comparison, value=count)
    for model, cells in enumerate(found.confusion):
        for human, count in enumerate(cells):
            yield base._replace(section="confusion", measure=f"model {model}, person {human}", value=count)
    for bin_ in calibration.bins:
        where = base._replace(section="calibration", measure=f"confidence {bin_.low:.1f} to {bin_.high:.1f}")
        yield _share(where, bin_.agreed)


def _parts(section: str, version: str, parts: Parts) -> Iterator[Row]:
    for part in parts.rows:
        for dimension, value in part.dimensions.items():
            base = Row(section, version, part.exposure, part.name, dimension, "accuracy with ties, by label")
            yield _share(base, value)


def _people(people: People) -> Iterator[Row]:
    for dimension in Dimension:
        base = Row("people", exposure=people.exposure, dimension=dimension)
        alpha = people.alpha[dimension]
        yield _estimate(base._replace(measure="Krippendorff's alpha", of=alpha.tasks), alpha.estimate)
        yield _share(base._replace(measure="share of Video 1"), people.position[dimension])


def _contest(contest: Contest) -> Iterator[Row]:
    for dimension, paired in contest.dimensions.items():
        base = Row("versions", contest.first, contest.seen, contest.second, dimension)
        counts: Mapping[str, int] = {
            "both right": paired.both,
            "first only": paired.first_only,
            "second only": paired.second_only,
            "neither": paired.neither,
        }
        for measure, count in counts.items():
            yield base._replace(measure=measure, value=count)
        yield base._replace(measure="McNemar p", value=paired.p_value, note=paired.missing)


def _share(base: Row, share: Share) -> Row:
    return base._replace(value=share.value, low=share.low, high=share.high, counted=share.count, of=share.of)


def _estimate(base: Row, found: Estimate) -> Row:
    return base._replace(value=found.value, low=found.low, high=found.high, note=found.missing)
