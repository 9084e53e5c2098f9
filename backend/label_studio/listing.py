"""Task lists of the Data Manager: page after page, never asking the ML backend, never holding more than a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backend.errors import LabelStudioNotFoundError
from backend.label_studio.records import TaskFilter, TaskPage, read

if TYPE_CHECKING:
    from backend.label_studio.connection import Connection

PAGE_SIZE = 500
"""Tasks asked for at once; Label Studio gives fewer where its TASK_API_PAGE_SIZE_MAX is lower."""

IDS_PER_REQUEST = 200
"""Ids travel in the address: 200 of them stay under 4 kB, the least that servers in front of Label Studio accept."""

ANNOTATION_FIELDS = (
    "result",
    "completed_by",
    "parent_prediction",
    "was_cancelled",
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
        page = _page(connection, f"list tasks of project {project}", params)
        before = last
        for item in page.tasks:
            if item["id"] > last:  # a filter on predictions repeats a task once for each of them
                last = item["id"]
                yield item
        if len(page.tasks) >= page.total or last == before:
            return


def _page(connection: Connection, doing: str, params: Mapping[str, str]) -> TaskPage:
    return read(TaskPage, connection.request(doing, "GET", "api/tasks", params=params))


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
    number = 1
    params = {"project": str(project), "view": str(tab), "page_size": str(PAGE_SIZE), "include": "id"}
    while True:
        here = {"page": str(number), "resolve_uri": "false"}
        page = _page(connection, f"list the tasks of tab {tab}", {**params, **here})
        found += [item["id"] for item in page.tasks]
        if not page.tasks or len(found) >= page.total:
            return sorted(set(found))
        number += 1


def newest_id(connection: Connection, project: int) -> int:
    """The greatest id of the project's tasks, 0 where it has none."""
    query = json.dumps({"ordering": ["-tasks:id"]})
    params = {"project": str(project), "page_size": "1", "resolve_uri": "false", "query": query, "include": "id"}
    page = _page(connection, f"show the newest task of project {project}", params)
    return int(page.tasks[0]["id"]) if page.tasks else 0


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
