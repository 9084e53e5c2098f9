"""What goes into the ledger and comes out of it: frozen values, all times aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from backend.agreement.compare import Comparison
    from backend.types import Dimension, Judgement, PairwiseTask, Verdict


class State(StrEnum):
    """Where a task of one model version stands.

    queued -> judged -> published, or failed with a reason; skipped when its task is gone or was cancelled. A judged
    task of the blind slice stays judged.
    """

    QUEUED = "queued"
    JUDGED = "judged"
    PUBLISHED = "published"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is unique in the ledger: one task of one project under one model version."""

    project: int
    task: int
    model_version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, without its judgement.

    `attempts` counts tries that ended without a judgement, `publish_attempts` write-backs that did not pass. `reason`
    and `message` are of the latest failure, also while another try is still due. Nothing happens before `not_before`.
    """

    key: Key
    task: PairwiseTask
    state: State
    shown: bool
    attempts: int
    publish_attempts: int
    reason: str
    message: str
    prediction_id: int | None
    not_before: datetime
    entered_at: datetime
    judged_at: datetime | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A judgement that one publisher may write back until the lease behind `token` runs out."""

    key: Key
    task: PairwiseTask
    judgement: Judgement
    token: str


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """How many tasks of a project and model version are in each state; `blind` of the judged ones are never shown."""

    project: int
    model_version: str
    states: Mapping[State, int]
    blind: int


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Tasks that failed for the same reason: how many, the newest message, and the first few task ids."""

    reason: str
    count: int
    message: str
    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Effort:
    """What one judgement took: seconds by stage, the model's turns, and tokens over all turns."""

    model_version: str
    seconds: Mapping[str, float]
    turns: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Project:
    """What is known of a Label Studio project."""

    id: int
    title: str
    label_config: str


@dataclass(frozen=True, slots=True)
class Paused:
    """What is paused: `everything`, or single `projects`."""

    everything: bool
    projects: frozenset[int]

    def covers(self, project: int) -> bool:
        """Whether nothing new of the project is begun."""
        return self.everything or project in self.projects


@dataclass(frozen=True, slots=True)
class Automatic:
    """A project whose tasks with ids above `after` are taken in by themselves; up to `to` they were looked at."""

    project: int
    after: int
    to: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A project whose annotations are due to be fetched, from `since` on; None means all of them."""

    project: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's answer as Label Studio holds it; `result` is its own JSON.

    `origin` says how it got here: `webhook` is a hint, `sync` the truth. `parent_prediction` is what the answer was
    made from, also when Label Studio has deleted that and says so no longer.
    """

    id: int
    project: int
    task: int
    completed_by: int | None
    result: Sequence[Mapping[str, Any]]
    parent_prediction: int | None
    was_cancelled: bool
    lead_time: float | None
    created_at: datetime
    updated_at: datetime
    origin: Literal["webhook", "sync"]
    deleted: bool = False

    @property
    def bulk(self) -> bool:
        """Whether Label Studio made it out of a prediction ("Create annotations from predictions"): nobody looked."""
        return self.parent_prediction is not None and self.lead_time is None

    @property
    def person(self) -> Hashable:
        """Who answered; an answer of nobody known stands for itself."""
        return ("annotation", self.id) if self.completed_by is None else self.completed_by

    def may_have_seen(self, published: Iterable[datetime | None]) -> bool:
        """Whether a prediction can have been on the screen, of those of its task that were published at these times."""
        before = (moment is not None and moment <= self.updated_at for moment in published)
        return self.parent_prediction is not None or any(before)


@dataclass(frozen=True, slots=True)
class Compared:
    """One standing answer beside its judgement; `shown` is False in the blind slice, `score` the judgement's own."""

    annotation: int
    project: int
    task: int
    model_version: str
    shown: bool
    comparisons: Mapping[Dimension, Comparison]
    score: float | None


@dataclass(frozen=True, slots=True)
class Scored:
    """A judgement's own score, and whether the person agreed with all of it; `shown` is False in the blind slice."""

    score: float
    agreed: bool
    shown: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """How people's answers stand to the judgements of one model version; those of the blind slice apart."""

    project: int
    model_version: str
    shown: bool
    answers: int
    counts: Mapping[Dimension, Mapping[Comparison, int]]


@dataclass(frozen=True, slots=True)
class Answered:
    """A person's answer and the judgement beside it; all of `key`, `task`, `judgement` are None where there is none.

    `exact` says that it is the very prediction the person was given, `shown` that this or another version's may have
    been seen or is to be shown, `seen` only the first of these, `other_data` that there are judgements, but of other
    videos or another prompt than the person answered.
    """

    annotation: Annotation
    key: Key | None
    task: PairwiseTask | None
    judgement: Judgement | None
    shown: bool
    exact: bool
    other_data: bool = False
    seen: bool = False

    def may_have_seen(self, *, blind: bool) -> bool:
        """Whether the person may have seen a judgement, where the labeling config hides all of them now if `blind`."""
        return self.seen or (self.shown and not blind)


@dataclass(frozen=True, slots=True)
class Judged:
    """One model version's verdicts on a task, without the conversation that led to them.

    `prediction_id` is the prediction that people were given, None where there is none; `shown` is False in the blind
    slice. Since `entered_at` the task has the videos and the prompt that the verdicts are of.
    """

    task: PairwiseTask
    model_version: str
    prediction_id: int | None
    shown: bool
    verdicts: Mapping[Dimension, Verdict]
    entered_at: datetime
    published_at: datetime | None


class ExportState(StrEnum):
    """How far an export is that somebody asked for."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The latest export of a project that was asked for in Label Studio: its `folder` when done, else why it failed."""

    project: int
    state: ExportState
    folder: str
    message: str
    asked_at: datetime
    ended_at: datetime | None
