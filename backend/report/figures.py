"""Everything a report says, as frozen values: what `report.json` holds and the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.agreement.compare import Comparison
from backend.report.exposure import Exposure
from backend.report.gather import Left
from backend.report.measure import Calibration, Estimate, Paired, Scored, Share
from backend.types import Dimension, Preference


@dataclass(frozen=True, slots=True)
class Agreement:
    """The model's labels for one dimension beside people's, for answers of one exposure.

    `confusion` has the model's labels as rows and people's as columns, both in the order tie, Video 1, Video 2.
    `missing` counts answers in which one of the two gave no label.
    """

    compared: int
    missing: int
    with_ties: Share
    without_ties: Share
    scored: Scored
    kappa: Estimate
    confusion: Sequence[Sequence[int]]
    comparisons: Mapping[Comparison, int]
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Group:
    """Answers of one exposure."""

    exposure: Exposure
    answers: int
    tasks: int
    dimensions: Mapping[Dimension, Agreement]


@dataclass(frozen=True, slots=True)
class Part:
    """Agreement with ties in a part of the answers: one annotator's, one source's, one period's."""

    name: str
    exposure: Exposure
    answers: int
    dimensions: Mapping[Dimension, Share]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts with the most answers (periods: all, by time); `left_out` says how many smaller ones there are."""

    rows: Sequence[Part]
    left_out: int


@dataclass(frozen=True, slots=True)
class Example:
    """One answer to a hard prompt. `strips` are pictures of Video 1 and 2 as data URIs, or `no_strips` says why not."""

    task: int
    annotator: str
    exposure: Exposure
    model: Mapping[Dimension, Preference]
    human: Mapping[Dimension, Preference]
    strips: Sequence[str] = ()
    no_strips: str = ""


@dataclass(frozen=True, slots=True)
class Hard:
    """A prompt that the model and people disagree on: labels that differ of all labels compared, by exposure."""

    prompt: str
    tasks: int
    differing: Mapping[Exposure, Share]
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Version:
    """One model version. `tasks` were judged; `position` is the share of Video 1 among its winners on them.

    `swap` is, of the verdicts judged in both orders of the videos, the share that stayed the same.
    """

    model_version: str
    tasks: int
    answers: int
    groups: Sequence[Group]
    position: Mapping[Dimension, Share]
    swap: Mapping[Dimension, Share]
    annotators: Parts
    sources: Parts
    periods: Parts
    hardest: Sequence[Hard]


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha between people: `tasks` have answers of several people, `answers` in all."""

    tasks: int
    answers: int
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class People:
    """People alone, whose answers share one exposure: agreement with each other, and Video 1 among their winners."""

    exposure: Exposure
    answers: int
    alpha: Mapping[Dimension, Alpha]
    position: Mapping[Dimension, Share]


@dataclass(frozen=True, slots=True)
class Contest:
    """Two versions on the answers of one kind: `seen` says which of the two judgements people had before them."""

    first: str
    second: str
    seen: str
    answers: int
    dimensions: Mapping[Dimension, Paired]


@dataclass(frozen=True, slots=True)
class Counts:
    """What was read: answers in the figures, and those left out by what they are.

    `unjudged` answers are to tasks that none of the reported versions has judged; `future` ones are dated after the
    report was made. `problems` are labels that the project's labeling config has no meaning for.
    """

    answers: int
    tasks: int
    annotators: int
    left: Mapping[Left, int]
    unjudged: int
    future: int
    problems: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """One project's report; the version with the most answers comes first."""

    project: int
    title: str
    made_at: datetime
    since: datetime | None
    period: str
    counts: Counts
    versions: Sequence[Version]
    people: Sequence[People]
    contests: Sequence[Contest]
    frames: bool
