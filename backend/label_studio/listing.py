"""Task lists of the Data Manager: page after page, never asking the ML backend, never holding more than a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from backend.errors import LabelStudioNotFoundError
from backend.label_studio.records import TaskFilter

if TYPE_CHECKING:
    from backend.label_studio.connection import Connection

PAGE_SIZE = 500
IDS_PER_REQUEST = 200
"""Ids travel in the address: 200 of them stay under 4 kB, the least that servers in front of Label Studio accept."""

ANNOTATION_FIELDS = (
    "result",
    "completed_by",
    "parent_prediction",
    "was_cancelled",
    "ground_truth",
    "lead_time",
    "created_at",
    "updated_at",
    "task",
)


def listed(
    connection: Connection,
    project: int,
    fields: Iterable[str],
    *,
    ids: Sequence[int] | None = None,
    filters: Sequence[TaskFilter] = (),
    nested: bool = False,
) -> Iterator[dict[str, Any]]:
    """The tasks that match, as JSON with these fields, in the order of their ids.

    Pages by id, so that tasks created or deleted meanwhile neither repeat others nor hide them. `nested` is needed for
    the fields `annotations` and `predictions`; fields of annotations are then named next to those of the task.
    """
    shape = {"include": ",".join(fields)} | ({"fields": "all"} if nested else {})
    for chunk in [None] if ids is None else chunks(sorted(set(ids)), IDS_PER_REQUEST):
        yield from _pages(connection, project, shape, chunk, filters)


def _pages(
    connection: Connection,
    project: int,
    shape: dict[str, str],
    ids: Sequence[int] | None,
    filters: Sequence[TaskFilter],
) -> Iterator[dict[str, Any]]:
    last = 0
    while True:
        query = _query(ids, (*filters, TaskFilter("id", "greater", "Number", last)))
        params = {"project": str(project), "page_size": str(PAGE_SIZE), "resolve_uri": "false", "query": query, **shape}
        answer = connection.request(f"list tasks of project {project}", "GET", "api/tasks", params=params)
        for item in answer["tasks"]:
            if item["id"] > last:  # a filter on predictions repeats a task once for each of them
                last = item["id"]
                yield item
        if len(answer["tasks"]) < PAGE_SIZE:
            return


def ids_in_tab(connection: Connection, project: int, tab: int) -> list[int]:
    """The ids of the tasks that a saved tab of the Data Manager shows, whatever its own filters and order.

    By page number, since a tab's own conditions cannot be joined with others: collect them before anything moves.

    Raises:
        LabelStudioNotFoundError: the project has no such tab.
    """
    view = connection.request(f"show tab {tab}", "GET", f"api/dm/views/{tab}/")
    if view["project"] != project:
        raise LabelStudioNotFoundError(f"Tab {tab} belongs to project {view['project']}, not to project {project}.")
    found: list[int] = []
    params = {"project": str(project), "view": str(tab), "page_size": str(PAGE_SIZE), "include": "id"}
    while True:
        page = {"page": str(len(found) // PAGE_SIZE + 1), "resolve_uri": "false"}
        answer = connection.request(f"list the tasks of tab {tab}", "GET", "api/tasks", params={**params, **page})
        found += [item["id"] for item in answer["tasks"]]
        if len(answer["tasks"]) < PAGE_SIZE or len(found) >= answer["total"]:
            return sorted(set(found))


def newest_id(connection: Connection, project: int) -> int:
    """The greatest id of the project's tasks, 0 where it has none."""
    query = json.dumps({"ordering": ["-tasks:id"]})
    params = {"project": str(project), "page_size": "1", "resolve_uri": "false", "query": query, "include": "id"}
    answer = connection.request(f"show the newest task of project {project}", "GET", "api/tasks", params=params)
    return int(answer["tasks"][0]["id"]) if answer["tasks"] else 0


def _query(ids: Sequence[int] | None, filters: Iterable[TaskFilter]) -> str:
    query: dict[str, Any] = {
        "filters": {"conjunction": "and", "items": [item.as_query() for item in filters]},
        "ordering": ["tasks:id"],
    }
    if ids is not None:
        query["selectedItems"] = {"all": False, "included": list(ids)}
    return json.dumps(query, separators=(",", ":"))


def chunks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The items, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
