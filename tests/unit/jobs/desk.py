"""Doubles around a real ledger: Label Studio's API, and a clock that is moved by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backend.errors import LabelStudioError, TaskDeletedError
from backend.jobs.publishing import Publishing
from backend.label_studio import records
from backend.ledger import Key, State
from backend.types import Dimension, Judgement, PairwiseTask, Preference, StopCondition, Verdict
from backend.wire import Order, Outcome, to_json
from tests.integration.doubles import label_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.ledger import Ledger

VERSION = "tiny-1"
PUBLISHER = "publisher-1"
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = label_config("TA", "MQ", "VQ", "OA")


def order(task: int = 1, version: str = VERSION) -> Order:
    return Order(PairwiseTask(1, task, "/a.mp4", "/b.mp4", "a dog runs"), version)


def judged(task: int = 1) -> Outcome:
    verdicts = {dimension: Verdict(Preference.VIDEO_1) for dimension in Dimension}
    return Outcome(order(task), Judgement(VERSION, verdicts, "", StopCondition.ANSWERED, False, (), (), ()))


def key(task: int = 1) -> Key:
    return Key(1, task, VERSION)


class Studio:
    """A test double of Label Studio's API; `error` is raised by every request."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.error: LabelStudioError | None = None
        self.stored: dict[int, records.NewPrediction] = {}
        self.deleted: set[int] = set()
        self.imports = 0
        self.shown = ""
        self.show_error: LabelStudioError | None = None

    def project(self, project: int) -> records.Project:
        if self.error is not None:
            raise self.error
        return records.Project(project, "Dogs", self.config, self.shown)

    def predictions_of(self, task: int, model_version: str) -> list[records.StoredPrediction]:
        return [
            records.StoredPrediction(number, task, model_version, START)
            for number, one in self.stored.items()
            if (one.task, one.model_version) == (task, model_version)
        ]

    def create_prediction(self, prediction: records.NewPrediction) -> int:
        if prediction.task in self.deleted:
            raise TaskDeletedError(f"task {prediction.task} does not exist")
        self.stored[len(self.stored) + 1] = prediction
        return len(self.stored)

    def import_predictions(self, project: int, predictions: Sequence[records.NewPrediction]) -> records.Imported:
        self.imports += 1
        stored: dict[int, int] = {}
        refused: dict[int, LabelStudioError] = {}
        for one in predictions:
            found = self.predictions_of(one.task, one.model_version)
            try:
                stored[one.task] = found[0].id if found else self.create_prediction(one)
            except LabelStudioError as error:
                refused[one.task] = error
        return records.Imported(stored, refused)

    def set_model_version(self, project: int, model_version: str) -> None:
        if self.show_error is not None:
            raise self.show_error
        self.shown = model_version


@dataclass
class Desk:
    """A `Publishing` with a real ledger, a double of Label Studio, and a clock that is moved by hand."""

    ledger: Ledger
    studio: Studio
    now: list[datetime]
    waiting: int = 0

    def __post_init__(self) -> None:
        self.publishing = Publishing(self.ledger, self.studio, lambda: self.waiting, name=PUBLISHER)

    def publish(self, *outcomes: Outcome) -> None:
        for left, outcome in zip(range(len(outcomes) - 1, -1, -1), outcomes, strict=True):
            self.waiting = left
            self.publishing.publish(to_json(outcome))

    def told(self, task: int = 1) -> tuple[State, str]:
        entry = self.ledger.entry(key(task))
        assert entry is not None
        return entry.state, entry.reason
