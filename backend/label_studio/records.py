"""What Label Studio holds, as frozen values: only the fields this package needs, checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

from backend.errors import LabelStudioError, LabelStudioUnreadableError
from backend.wire import from_json

T = TypeVar("T")

SCORE_ROUNDING = 1e-6  # databases keep scores as floats of their own

Result: TypeAlias = "tuple[Mapping[str, Any], ...]"
"""The result items of a prediction or annotation, as Label Studio's JSON (`from_name`, `to_name`, `type`, `value`)."""


@dataclass(frozen=True, slots=True)
class User:
    """Someone with an account: the user of the API key, or another of the organization."""

    id: int
    email: str
    username: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A project; `model_version` is the one whose predictions annotators see first, empty when none is set."""

    id: int
    title: str
    label_config: str
    model_version: str | None = None
    task_number: int | None = None
    show_collab_predictions: bool = False
    evaluate_predictions_automatically: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task as listed: its data unresolved (`s3://` stays `s3://`) and how much hangs on it."""

    id: int
    data: Mapping[str, Any] = field(default_factory=dict)
    total_annotations: int = 0
    cancelled_annotations: int = 0
    total_predictions: int = 0


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of a task list, each task with the fields asked for; `total` counts those of all pages."""

    tasks: tuple[dict[str, Any], ...]
    total: int


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A prediction to be stored; `result` as the project's labeling config wants it, `score` in 0..1."""

    task: int
    model_version: str
    result: Result
    score: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The body that Label Studio's endpoints take."""
        return {
            "task": self.task,
            "model_version": self.model_version,
            "score": self.score,
            "result": list(self.result),
        }

    def check_stored(self, stored: StoredPrediction) -> None:
        """Compare with what Label Studio gives back.

        Raises:
            LabelStudioError: it holds something else than was sent.
        """
        same_place = (stored.task, stored.model_version) == (self.task, self.model_version)
        same_score = abs((stored.score or 0.0) - (self.score or 0.0)) < SCORE_ROUNDING
        if not (same_place and same_score and stored.result == list(self.result)):
            raise LabelStudioError(
                f"Label Studio holds something else than was sent as prediction {stored.id} of task {self.task}. "
                "Check that the labeling config was not changed meanwhile."
            )


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as Label Studio holds it; the `result` of others may be anything, since anything is taken."""

    id: int
    task: int
    model_version: str | None
    created_at: datetime
    result: Any = ()
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """A person's annotation.

    `parent_prediction` is the prediction it was made from, None when there was none or it has been deleted.
    `was_cancelled` marks a skipped task. `lead_time` is in seconds, None for annotations that the Data Manager made
    from predictions in bulk.
    """

    id: int
    task: int
    result: Result
    completed_by: int | None
    parent_prediction: int | None
    was_cancelled: bool
    lead_time: float | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AnnotatedTask:
    """A task's annotations as they are now; none where all have been deleted.

    `updated_at` moves with every annotation created, changed or deleted, and with every prediction stored.
    """

    id: int
    updated_at: datetime
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of predictions sent together: the stored ones' ids by task, and the errors of the others."""

    stored: Mapping[int, int]
    refused: Mapping[int, LabelStudioError]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook; `project` is None for one of the whole organisation. `headers` may hold a secret: never log them."""

    id: int
    url: str
    project: int | None
    is_active: bool
    send_payload: bool
    send_for_all_actions: bool
    actions: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class MlBackend:
    """A connected ML backend; `state` is Label Studio's word (`CO` connected, `DI` disconnected, `ER` error)."""

    id: int
    url: str
    project: int
    title: str
    state: str = ""
    error_message: str | None = None
    auth_method: str = "NONE"
    basic_auth_user: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class LocalStorage:
    """A folder of Label Studio's machine whose files a project may show as `/data/local-files/?d=...`."""

    id: int
    project: int
    path: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """One condition of the Data Manager, e.g. `TaskFilter("total_annotations", "greater", "Number", 0)`."""

    column: str
    operator: str
    type: str
    value: Any

    def as_query(self) -> dict[str, Any]:
        """The condition as Label Studio's JSON."""
        column = f"filter:tasks:{self.column}"
        return {"filter": column, "operator": self.operator, "type": self.type, "value": self.value}


def updated_since(moment: datetime) -> TaskFilter:
    """Tasks touched at that moment (aware of its time zone) or later, by Label Studio's clock."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # it answers any other form with HTTP 500
    return TaskFilter("updated_at", "greater_or_equal", "Datetime", text)


def without_prediction_of(model_version: str) -> TaskFilter:
    """Tasks without a prediction of this version; Label Studio compares by substring, so pass the whole version."""
    return TaskFilter("predictions_model_versions", "not_contains", "String", [model_version])


def with_result(annotation: object) -> object:
    """An annotation's JSON, its result empty where it is no list of items: Label Studio takes anything from its API."""
    if not isinstance(annotation, Mapping):
        return annotation
    told = annotation.get("result")
    readable = isinstance(told, list) and all(isinstance(item, Mapping) for item in told)
    return {**annotation, "result": told if readable else []}


def read(kind: type[T], data: object) -> T:
    """A record from Label Studio's JSON; fields it does not name are ignored.

    Raises:
        LabelStudioUnreadableError: the JSON is not such a record.
    """
    try:
        return from_json(kind, data)
    except ValueError as error:
        raise LabelStudioUnreadableError(
            f"Label Studio answered something that is not a {kind.__name__}: {error}. "
            "Its version may be too old or too new; this package is tested with 1.23."
        ) from None
