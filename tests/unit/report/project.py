"""A small project in a real ledger: judgements and answers as short words, `1102` for TA, MQ, VQ, OA."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from backend.label_studio.layout import parse_layout
from backend.ledger import Annotation, Key, Ledger, Project
from backend.report.compose import report_on
from backend.report.gather import Wanted
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Verdict
from backend.wire import Order, Outcome
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from backend.report.figures import Report

ONE, TWO = "tiny-1.contract", "tiny-2.contract"
START = datetime(2026, 5, 4, 12, tzinfo=UTC)  # a Monday
NOW = datetime(2026, 6, 10, tzinfo=UTC)
CHOICES = {"0": "Tie", "1": "Video 1", "2": "Video 2"}
LAYOUT = parse_layout(CONFIG)


def result(labels: str) -> list[dict[str, Any]]:
    """An annotation's result; `-` leaves a dimension out, `?` is a choice that the config does not know."""
    items = []
    for dimension, label in zip(Dimension, labels, strict=True):
        if label != "-":
            name = LAYOUT.choices[dimension].name
            value = {"choices": [CHOICES.get(label, "Neither")]}
            items.append({"from_name": name, "to_name": "video1", "type": "choices", "value": value})
    return items


class SmallProject:
    """Project 7, whose tasks are added one by one."""

    def __init__(self, folder: Path, title: str = "Pairs", config: str = CONFIG) -> None:
        self.url = f"sqlite:///{folder / 'ledger.db'}"
        self.ledger = Ledger.open(self.url, clock=lambda: START)
        self.ledger.remember_project(Project(7, title, config))
        self._annotations = 0

    def judged(
        self,
        task: int,
        labels: str,
        version: str = ONE,
        *,
        prompt: str = "a dog runs",
        video: str = "/data/{}.mp4",
        confidence: float | None = None,
        order_dependent: bool | None = None,
        published: bool = True,
    ) -> int | None:
        """A task with a judgement; the answer is its prediction's id, None where it is not published."""
        asked = PairwiseTask(7, task, video.format(f"{task}a"), video.format(f"{task}b"), prompt)
        verdicts = {
            dimension: Verdict(Preference(int(label)), odds(int(label), confidence), None, "", order_dependent)
            for dimension, label in zip(Dimension, labels, strict=True)
            if label != "-"
        }
        judgement = Judgement(version, verdicts, "", StopCondition.ANSWERED, False, (), (), ())
        self.ledger.enter([asked], version)
        self.ledger.record(Outcome(Order(asked, version), judgement=judgement))
        if not published:
            return None
        prediction = task * 10 + (version == TWO)
        self.ledger.mark_all_published({Key(7, task, version): prediction})
        return prediction

    def answered(
        self,
        task: int,
        labels: str,
        prediction: int | None = None,
        *,
        person: int | None = 1,
        days: float = 0,
        changed: float | None = None,
        lead_time: float | None = 9.0,
        cancelled: bool = False,
        deleted: bool = False,
    ) -> None:
        """A person's answer; `days` after START, changed so many days after it."""
        self._annotations += 1
        moment = START + timedelta(days=days)
        self.ledger.remember_annotation(
            Annotation(
                id=self._annotations,
                project=7,
                task=task,
                completed_by=person,
                result=result(labels),
                parent_prediction=prediction,
                was_cancelled=cancelled,
                lead_time=lead_time,
                created_at=moment,
                updated_at=moment if changed is None else START + timedelta(days=changed),
                origin="sync",
                deleted=deleted,
            )
        )

    def report(self, wanted: Wanted | None = None) -> Report:
        """The report as of NOW."""
        return report_on(self.ledger, 7, wanted or Wanted(), made_at=NOW)


def odds(label: int, confidence: float | None) -> tuple[float, float, float] | None:
    """Odds with this confidence, the rest shared evenly."""
    if confidence is None:
        return None
    rest = (1 - confidence) / 2
    return (
        confidence if label == 0 else rest,
        confidence if label == 1 else rest,
        confidence if label == 2 else rest,
    )
