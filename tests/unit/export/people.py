"""A ledger as the real rooms write it: judged pairs, their predictions, and people's answers to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from backend.label_studio.convert import to_prediction
from backend.label_studio.layout import parse_layout
from backend.ledger import Annotation, Key, Project
from backend.types import Dimension, PairwiseTask, Preference
from backend.wire import Order, Outcome
from tests.unit.label_studio.configs import FULL
from tests.unit.label_studio.judgements import ODDS, judged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.ledger import Ledger
    from backend.types import Judgement, Labels

PROJECT = 7
VERSION = "tiny-1.vrthinker-128v1.transformers.abc123"
START = datetime(2026, 5, 1, 9, tzinfo=UTC)
TA, MQ, VQ, OA = Dimension
TIE, VIDEO_1, VIDEO_2 = Preference
MODEL: Labels = {TA: VIDEO_2, MQ: VIDEO_2, VQ: TIE, OA: VIDEO_2}  # what the scripted replies answer


@dataclass
class People:
    """Fills a ledger. Prediction 1000 + n belongs to task n; annotations are numbered as they come."""

    ledger: Ledger
    config: str = FULL
    judgements: dict[int, Judgement] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.ledger.remember_project(Project(PROJECT, "Pairs of May", self.config))

    def task(
        self,
        number: int,
        judgement: Judgement | None = None,
        *,
        prompt: str = "A white paper plane loops through pink clouds.",
        version: str = VERSION,
        published: bool = True,
        videos: tuple[str, str] = ("/a.mp4", "/b.mp4"),
    ) -> None:
        """A judged pair; its prediction is in Label Studio unless it is not `published`."""
        made = replace(judgement or judged(odds=ODDS, prompt=prompt), model_version=version)
        task = PairwiseTask(PROJECT, number, *videos, prompt)
        self.ledger.record(Outcome(Order(task, version), made))
        if published:
            self.ledger.mark_all_published({Key(PROJECT, number, version): 1000 + number})
        self.judgements[number] = made

    def answer(
        self,
        task: int,
        changed: Mapping[Dimension, Preference | None] | None = None,
        *,
        user: int | None = 1,
        reasons: Mapping[Dimension, str] | None = None,
        linked: bool = True,
        minute: int = 0,
        **values: Any,  # noqa: ANN401  # any field of an annotation
    ) -> int:
        """One person's answer: the prediction as it was shown, with these labels and rationales changed."""
        self.count += 1
        moment = START + timedelta(minutes=minute or self.count)
        told: dict[str, Any] = {
            "id": self.count,
            "project": PROJECT,
            "task": task,
            "completed_by": user,
            "result": values["result"] if "result" in values else self._result(task, changed or {}, reasons or {}),
            "parent_prediction": 1000 + task if linked else None,
            "was_cancelled": False,
            "lead_time": 12.5,
            "created_at": moment,
            "updated_at": moment,
            "origin": "sync",
        }
        self.ledger.remember_annotation(Annotation(**(told | values)))
        return self.count

    def _result(
        self, task: int, changed: Mapping[Dimension, Preference | None], reasons: Mapping[Dimension, str]
    ) -> tuple[dict[str, Any], ...]:
        layout = parse_layout(self.config)
        items = {item["from_name"]: item for item in to_prediction(layout, self.judgements[task], task)["result"]}
        for dimension, preference in changed.items():
            choice = layout.choices[dimension]
            if preference is None:
                del items[choice.name]
            else:
                items[choice.name]["value"] = {"choices": [choice.values[preference]]}
        for dimension, text in reasons.items():
            area = layout.rationales[dimension]
            item = {"from_name": area.name, "to_name": area.to_name, "type": "textarea"}
            items[area.name] = {**item, "value": {"text": [text]}}
        return tuple(items.values())
