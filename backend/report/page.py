"""The report as one HTML page that needs nothing else: no network, no JavaScript, no other file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backend.agreement.compare import Comparison
from backend.label_studio.controls import DIMENSION_TITLES, PREFERENCE_TITLES
from backend.report import plot
from backend.report.exposure import Exposure
from backend.report.gather import Left
from backend.types import Dimension

if TYPE_CHECKING:
    from jinja2 import Environment

    from backend.report.figures import Report, Version
    from backend.report.measure import Estimate, Share

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_PROMPT = 600  # characters on the page; report.json has all of it
SHOWN_PARTS = 25  # rows of a table on the page; report.json and report.csv have more
DASH = "–"
SYMBOLS = {Exposure.SHOWN: "●", Exposure.BLIND: "■", Exposure.UNLINKED: "▲"}
MEANINGS = {
    Exposure.SHOWN: "the person began with this very prediction, which pulls answers towards the model",
    Exposure.BLIND: "the task is judged but never shown, so the answer is the person's own",
    Exposure.UNLINKED: "the person began with an empty form or with another version's prediction; "
    "what was seen of this judgement is not known",
}
LEFT_OUT = {
    Left.DELETED: "deleted in Label Studio",
    Left.SKIPPED: "skipped by the person",
    Left.BULK: "made by Label Studio out of predictions, so nobody looked",
    Left.OLDER: "last changed before the report begins",
    Left.UNREADABLE: "without a single label that the project's labeling config knows",
    Left.OTHER_DATA: "given before the task got other videos or another prompt",
    Left.REPEATED: "given again later by the same person for the same task; the last one counts",
}


def page_of(report: Report, label_studio_url: str = "") -> str:
    """The page's text; with Label Studio's address tasks are links to it."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            pictures={version.model_version: _pictures(report, version) for version in report.versions},
            label_studio=label_studio_url,
            dimensions=list(Dimension),
            exposures=list(Exposure),
            titles=DIMENSION_TITLES,
            preferences=PREFERENCE_TITLES,
            symbols=SYMBOLS,
            meanings=MEANINGS,
            left_out=LEFT_OUT,
            comparison=Comparison,
            shown_parts=SHOWN_PARTS,
            longest_prompt=LONGEST_PROMPT,
            reasons=reasons,
        )
    )


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "share": share_text, "figure": figure, "estimate": estimate_text}
    return environment


def _pictures(report: Report, version: Version) -> dict[str, str | dict[Exposure, str]]:
    """Each picture by name, as SVG of our own making; an empty one where there is nothing to draw."""
    groups = version.groups
    sure = any(found.calibration.of for group in groups for found in group.dimensions.values())
    prefix = f"v{list(report.versions).index(version)}"
    return {
        "agreement": plot.agreement(groups, prefix) if groups else "",
        "confusion": {group.exposure: plot.confusions(group, prefix) for group in groups},
        "calibration": plot.calibration(groups, prefix) if sure else "",
        "position": plot.position(version, report.people, prefix),
        "time": plot.over_time(version.periods, prefix) if len(_periods(version)) > 1 else "",
    }


def reasons(version: Version) -> list[str]:
    """Why figures of the agreement table are missing, each sentence once with the places that it is about."""
    places: dict[str, list[str]] = {}
    for group in version.groups:
        for dimension, found in group.dimensions.items():
            for sentence in dict.fromkeys((found.kappa.missing, found.scored.missing)):
                places.setdefault(sentence, []).append(f"{dimension} {group.exposure}")
    places.pop("", None)
    return [f"{', '.join(where)}: {sentence}" for sentence, where in places.items()]


def _periods(version: Version) -> set[str]:
    return {part.name for part in version.periods.rows}


def percent(value: float | None) -> str:
    """`0.8123` -> `81.2 %`."""
    return DASH if value is None else f"{value * 100:.1f} %"


def share_text(share: Share) -> str:
    """`81.2 % (78.9–83.3)`, or a dash where nothing was counted."""
    if share.value is None or share.low is None or share.high is None:
        return DASH
    return f"{percent(share.value)} ({share.low * 100:.1f}{DASH}{share.high * 100:.1f})"


def figure(value: float | None) -> str:
    """A plain number with two digits."""
    return DASH if value is None else f"{value:.2f}"


def estimate_text(found: Estimate) -> str:
    """`0.61 (0.58 to 0.64)`; the interval is left out where there is none."""
    if found.value is None or found.low is None or found.high is None:
        return figure(found.value)
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
