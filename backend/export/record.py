"""One person's answer to one task beside the model's: the unit of every dataset and report. Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from backend.agreement.compare import Comparison, compare_labels
from backend.label_studio.convert import rationales_of, read_labels
from backend.label_studio.wording import printable
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from backend.label_studio.layout import Layout
    from backend.ledger import Annotation, Answered
    from backend.types import Judgement, Labels, Preference, Verdict

Split: TypeAlias = Literal["train", "validation"]
VALIDATION_SHARE = 0.1


class Exposure(StrEnum):
    """Whether the person had seen the model's answer. Agreement of the three means different things: never mix them.

    A report says the same of the same answer, with `unlinked` for `unknown`.
    """

    SHOWN = "shown"  # Label Studio says that the answer was made from this very prediction
    BLIND = "blind"  # no judgement of the task was shown before the answer
    UNKNOWN = "unknown"  # it may have been on the screen, but the answer was not made from it


@dataclass(frozen=True, slots=True)
class Opinion:
    """Both labels for one dimension, None where there is none, and the rationale before and after the person.

    `model_rationale` is as the screen showed it. `rationale_asked` says that the person had it to change, or wrote one.
    """

    model: Preference | None
    human: Preference | None
    comparison: Comparison
    confidence: float | None
    order_dependent: bool | None
    model_rationale: str
    human_rationale: str
    rationale_asked: bool = True

    @property
    def rationale_edited(self) -> bool:
        """Whether the person wrote other words than the model's, or took them away."""
        return self.rationale_asked and self.human_rationale.strip() != self.model_rationale.strip()


@dataclass(frozen=True, slots=True)
class Record:
    """One task x annotator. `annotator` is a pseudonym unless names were asked for.

    `exact` says that the person was given just this judgement; `shown` is False in the blind slice, and where the
    labeling config hides what the model thinks and nobody can have seen it all the same. `problems` are
    labels that mean nothing in the project's labeling config, and whatever else keeps the record from being used.
    """

    project: int
    task: int
    annotation: int
    annotator: str
    prompt: str
    video1: str
    video2: str
    model_version: str
    opinions: Mapping[Dimension, Opinion]
    exact: bool
    shown: bool
    split: Split
    lead_time: float | None
    created_at: datetime
    updated_at: datetime
    problems: tuple[str, ...]
    judgement: Judgement

    @property
    def name(self) -> str:
        """What it is called in every file of a dataset."""
        return f"{self.project}-{self.task}-{self.annotation}"

    @property
    def exposure(self) -> Exposure:
        """Whether the person had seen this judgement."""
        if self.exact:
            return Exposure.SHOWN
        return Exposure.UNKNOWN if self.shown else Exposure.BLIND

    @property
    def human(self) -> Labels:
        """The person's labels; absent where they gave none."""
        return {d: opinion.human for d, opinion in self.opinions.items() if opinion.human is not None}

    @property
    def model(self) -> Labels:
        """The model's labels."""
        return {d: opinion.model for d, opinion in self.opinions.items() if opinion.model is not None}

    @property
    def disagrees(self) -> bool:
        """Whether any dimension with both labels differs."""
        same = (Comparison.AGREE, Comparison.MISSING)
        return any(opinion.comparison not in same for opinion in self.opinions.values())


def record_of(answered: Answered, layout: Layout, annotator: str) -> Record | None:
    """The record of an answer; None where there is nothing to compare: skipped, deleted, never judged."""
    annotation, judgement, task = answered.annotation, answered.judgement, answered.task
    if annotation.was_cancelled or annotation.deleted or judgement is None or task is None:
        return None
    reading = read_labels(layout, annotation.result)
    written = rationales_of(layout, annotation.result)
    return Record(
        project=annotation.project,
        task=annotation.task,
        annotation=annotation.id,
        annotator=annotator,
        prompt=task.prompt,
        video1=task.video1,
        video2=task.video2,
        model_version=judgement.model_version,
        opinions={
            dimension: _opinion(
                judgement.verdicts.get(dimension),
                reading.labels.get(dimension),
                written.get(dimension),
                asked=dimension in layout.rationales and (answered.exact or dimension in written),
            )
            for dimension in Dimension
        },
        exact=answered.exact,
        shown=answered.may_have_seen(blind=layout.blind),
        split=split_of(task.prompt),
        lead_time=annotation.lead_time,
        created_at=annotation.created_at,
        updated_at=annotation.updated_at,
        problems=(*reading.problems, *_unlabelled(layout, annotation, reading.labels)),
        judgement=judgement,
    )


def _opinion(verdict: Verdict | None, human: Preference | None, written: str | None, *, asked: bool) -> Opinion:
    model = verdict.preference if verdict else None
    return Opinion(
        model=model,
        human=human,
        comparison=compare_labels(model, human),
        confidence=verdict.confidence if verdict else None,
        order_dependent=verdict.order_dependent if verdict else None,
        model_rationale=printable(verdict.rationale) if verdict else "",
        human_rationale=written or "",
        rationale_asked=asked,
    )


def _unlabelled(layout: Layout, annotation: Annotation, labels: Labels) -> Iterator[str]:
    """Dimensions without a label, with the answers that stand in controls of some other labeling config."""
    missing = [dimension.value for dimension in Dimension if dimension not in labels]
    if not missing:
        return
    ours = {control.name for control in layout.choices.values()}
    given = {str(item.get("from_name")) for item in annotation.result if item.get("type") == "choices"}
    others = ", ".join(sorted(given - ours))
    hint = f"; it answers controls that are none of theirs: {others:.100}" if others else ""
    yield f"no usable label for {', '.join(missing)}{hint}"


def split_of(prompt: str) -> Split:
    """By a hash of the prompt alone: stable over time, and one prompt never lands on both sides."""
    return "validation" if int.from_bytes(prompt_digest(prompt)) < VALIDATION_SHARE * 2**64 else "train"


def prompt_digest(prompt: str) -> bytes:
    """Stands for a prompt, whose case and spacing do not matter, in 8 bytes; for any text, also half characters."""
    return hashlib.sha256(" ".join(prompt.split()).casefold().encode("utf-8", "surrogatepass")).digest()[:8]


def pseudonym(user: int | None, project: int, salt: bytes) -> str:
    """A name that is the same for one person in one project, and tells nothing without the salt."""
    if user is None:
        return "unknown"
    return "annotator-" + hmac.new(salt, f"{project}:{user}".encode(), hashlib.sha256).hexdigest()[:10]
