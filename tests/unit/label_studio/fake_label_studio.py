"""A fake Label Studio over real HTTP: what the client relies on, as 1.23.2 was seen to do it, faults on demand."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.unit.label_studio.servers import Exchange

MOMENT = "2026-01-02T03:04:05.678901Z"
PROJECT = {
    "id": 1,
    "title": "Pairs",
    "label_config": "<View/>",
    "show_collab_predictions": False,
    "evaluate_predictions_automatically": True,
}
Answer: TypeAlias = "tuple[int, Any]"
OPERATORS: dict[str, Callable[[Any, Any], object]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "contains": operator.contains,
    "greater": operator.gt,
    "greater_or_equal": operator.ge,
    "less_or_equal": operator.le,
}


@dataclass(slots=True)
class FakeLabelStudio:
    """One project, number 1. `fail` may answer a request in its place; requests it does not know fail the test.

    `counted` is whether the tasks' counts follow what is stored, which the real one does only when it has the time.
    """

    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    ml_backends: list[dict[str, Any]] = field(default_factory=list)
    storages: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    project: dict[str, Any] = field(default_factory=lambda: dict(PROJECT))
    dropped: Callable[[dict[str, Any]], bool] = lambda prediction: False
    fail: Callable[[str, str], Answer | None] = lambda method, path: None
    largest_page: int = 10_000
    counted: bool = True
    calls: list[str] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = json.loads(exchange.asked.body or b"null")
        self.calls.append(f"{exchange.command} {parts.path}")
        status, answer = self.fail(exchange.command, parts.path) or self._answer(
            exchange.command, parts.path, query, body
        )
        text = b"" if answer is None else json.dumps(answer).encode()
        exchange.answer(status, text, content_type="application/json")

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:  # noqa: ANN401  # JSON
        routes: list[tuple[str, Callable[..., Answer]]] = [
            (r"GET /api/tasks", lambda: self._list(query)),
            (r"GET /api/dm/views/", lambda: (200, self.views)),
            (r"POST /api/dm/views/", lambda: self._save_view(body)),
            (r"GET /api/dm/views/(\d+)/", lambda number: self._view(int(number))),
            (r"GET /api/predictions/", lambda: (200, [p for p in self.predictions if p["task"] == int(query["task"])])),
            (r"GET /api/predictions/(\d+)/", self._prediction),
            (r"POST /api/predictions/", lambda: self._store(body)),
            (r"POST /api/projects/1/import/predictions", lambda: self._import(body)),
            (r"POST /api/projects/1/import", lambda: self._import_tasks(body)),
            (r"GET /api/projects/1/", lambda: (200, self.project)),
            (r"PATCH /api/projects/1/", lambda: (200, self.project | (self.project.update(body) or {}))),
            (r"(GET|POST) /api/(webhooks|ml|storages/localfiles)/?", lambda *_: self._rows(path, method, body)),
            (r"(GET|PATCH|DELETE) /api/(webhooks|ml)/(\d+)/?", lambda *_: self._row(path, method, body)),
        ]
        for pattern, handle in routes:
            if match := re.fullmatch(pattern, f"{method} {path}"):
                return handle(*match.groups())
        raise AssertionError(f"The fake Label Studio does not know {method} {path}.")

    def _list(self, query: dict[str, str]) -> Answer:
        """Pages by the conditions in `query`, or those of a saved tab, whose tasks the test names."""
        wanted = json.loads(query.get("query", "{}"))
        included = wanted.get("selectedItems", {}).get("included")
        if "view" in query:
            included = next(view["tasks"] for view in self.views if view["id"] == int(query["view"]))
        conditions = wanted.get("filters", {}).get("items", [])
        fields = query["include"].split(",")
        found = []
        for number, task in sorted(self.tasks.items(), reverse=wanted.get("ordering") == ["-tasks:id"]):
            held = [each for each in self.predictions if each["task"] == number]
            counts = {
                "total_predictions": len(held) * self.counted,
                "total_annotations": task.get("total_annotations", 0),
            }
            shown = {**task, "id": number, "predictions": held, **counts}
            if (not included or number in included) and all(meets(shown, each) for each in conditions):
                found.append({key: shown[key] for key in fields if key in shown})  # nothing included means everything
        size = min(int(query["page_size"]), self.largest_page)
        start = (int(query.get("page", "1")) - 1) * size
        if start and start >= len(found):
            return 404, {"detail": "Invalid page."}
        return 200, {"tasks": found[start : start + size], "total": len(found)}

    def _save_view(self, body: dict[str, Any]) -> Answer:
        self.views.append({"id": len(self.views) + 1, **body})
        return 201, self.views[-1]

    def _view(self, number: int) -> Answer:
        view = next((view for view in self.views if view["id"] == number), None)
        return (404, {"detail": "Not found."}) if view is None else (200, view)

    def _prediction(self, number: str) -> Answer:
        return 200, next(each for each in self.predictions if each["id"] == int(number))

    def _store(self, body: dict[str, Any]) -> Answer:
        if body["task"] not in self.tasks:
            problem = {"task": [f'Invalid pk "{body["task"]}" - object does not exist.']}
            return 400, {"detail": "Validation error", "validation_errors": problem}
        self.predictions.append({"id": len(self.predictions) + 1, "created_at": MOMENT, **body})
        return 201, self.predictions[-1]

    def _import(self, body: list[dict[str, Any]]) -> Answer:
        if unknown := [each["task"] for each in body if each["task"] not in self.tasks]:
            return 400, {"detail": "Validation error", "validation_errors": {"non_field_errors": [f"task {unknown}"]}}
        taken = [each for each in body if not self.dropped(each)]
        for each in taken:
            self._store(each)
        return 201, {"created": len(taken)}

    def _import_tasks(self, body: list[dict[str, Any]]) -> Answer:
        first = max(self.tasks, default=0) + 1
        self.tasks |= dict(enumerate(body, start=first))
        self.project["task_number"] = len(self.tasks)
        return 201, {"task_ids": list(range(first, first + len(body)))}

    def _table(self, path: str) -> list[dict[str, Any]]:
        return {"webhooks": self.webhooks, "ml": self.ml_backends, "storages": self.storages}[path.split("/")[2]]

    def _rows(self, path: str, method: str, body: dict[str, Any]) -> Answer:
        table = self._table(path)
        if method == "GET":
            return 200, table
        number = 1 + max((row["id"] for row in table), default=0)
        table.append({"id": number, "state": "CO", "project": 1, "auth_method": "NONE", "basic_auth_user": "", **body})
        if table is self.ml_backends:
            self._webhook_of_backend(f"{body['url'].rstrip('/')}/webhook")
        return HTTPStatus.CREATED, table[-1]

    def _webhook_of_backend(self, url: str) -> None:
        """What Label Studio does by itself: everything is reported, without headers."""
        if all(hook["url"] != url for hook in self.webhooks):
            number = 1 + max((hook["id"] for hook in self.webhooks), default=0)
            self.webhooks.append(webhook(number, url))

    def _row(self, path: str, method: str, body: dict[str, Any]) -> Answer:
        table, number = self._table(path), int(path.rstrip("/").rsplit("/", 1)[1])
        row = next(row for row in table if row["id"] == number)
        if method == "DELETE":
            table.remove(row)
            return HTTPStatus.NO_CONTENT, None
        if method == "PATCH":
            row.update({"actions": [], **body} if table is self.webhooks else body)
        return 200, row


def meets(task: dict[str, Any], condition: dict[str, Any]) -> bool:
    """Whether a task meets one condition of the Data Manager, as 1.23.2 was seen to compare."""
    column, wanted = condition["filter"].removeprefix("filter:tasks:"), condition["value"]
    if column == "predictions_model_versions":
        return all(wanted[0] not in each["model_version"] for each in task["predictions"])
    if column == "updated_at":
        return True
    key, dot, rest = column.partition(".")
    value = task.get(key, 0) if not dot else task["data"].get(rest)
    if value is None:
        return False
    return bool(OPERATORS[condition["operator"]](value, wanted))


def webhook(number: int, url: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """A webhook as Label Studio makes it for an ML backend."""
    made = {"id": number, "url": url, "project": 1, "is_active": True, "headers": {}, "actions": []}
    return {**made, "send_payload": True, "send_for_all_actions": True, **changes}
