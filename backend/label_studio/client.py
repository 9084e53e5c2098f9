"""Label Studio's API as this package needs it: frozen records out, our errors only, streams instead of lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from backend.errors import LabelStudioError, SettingsError, TaskDeletedError
from backend.label_studio import bulk
from backend.label_studio.administration import Administration
from backend.label_studio.connection import Connection
from backend.label_studio.listing import ANNOTATION_FIELDS, ids_in_tab, listed, newest_id
from backend.label_studio.records import (
    AnnotatedTask,
    Imported,
    NewPrediction,
    Project,
    StoredPrediction,
    Task,
    TaskFilter,
    User,
    read,
    updated_since,
    with_result,
)

ACTION_TIMEOUT_S = 300.0
"""A Data Manager action waits for the ML backend, which Label Studio itself gives 100 s, and for the database."""

DEFAULT_PORTS = {"http": 80, "https": 443}
PROJECT_FIELDS = (
    "id,title,label_config,model_version,task_number,show_collab_predictions,"
    "evaluate_predictions_automatically,created_at"
)
COUNTS = ("id", "total_annotations", "cancelled_annotations", "total_predictions")
ANNOTATED = TaskFilter("total_annotations", "greater", "Number", 0)
SKIPPED_ONLY = (
    TaskFilter("total_annotations", "equal", "Number", 0),
    TaskFilter("cancelled_annotations", "greater", "Number", 0),
)


class LabelStudioClient:
    """One user's access to one Label Studio; safe for threads.

    Every method raises `LabelStudioUnavailableError` for what may pass (after a few tries where repeating is safe) and
    another `LabelStudioError` for what will not.
    """

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self.connection = Connection(self.url, api_key, timeout_s)
        self.administration = Administration(self.connection)
        self._origin = _origin(self.url)

    def close(self) -> None:
        """Close the sockets."""
        self.connection.close()

    def authorization_for(self, url: str) -> dict[str, str]:
        """The Authorization header for an address on Label Studio's own origin, nothing for any other."""
        try:
            own = _origin(url) == self._origin
        except SettingsError:
            return {}
        return {"Authorization": self.connection.authorization()} if own else {}

    def whoami(self) -> User:
        """The user that the API key belongs to."""
        return read(User, self.connection.request("name the API key's user", "GET", "api/current-user/whoami"))

    def project(self, project: int) -> Project:
        """The project with that id."""
        path, fields = f"api/projects/{project}/", {"include": PROJECT_FIELDS}
        return read(Project, self.connection.request(f"show project {project}", "GET", path, params=fields))

    def set_model_version(self, project: int, model_version: str) -> None:
        """Show annotators the predictions of this version; Label Studio wants one of them to be stored already."""
        self.administration.update_project(project, {"model_version": model_version})

    def tasks(
        self,
        project: int,
        *,
        ids: Sequence[int] | None = None,
        filters: Sequence[TaskFilter] = (),
        data: bool = True,
    ) -> Iterator[Task]:
        """The project's tasks in the order of their ids, only those in `ids` and that meet all `filters`.

        Page by page, and unlike a GET of one task never making Label Studio ask the ML backend. Without `data` only
        ids and counts, in half the time.
        """
        fields = (*COUNTS, "data") if data else COUNTS
        for item in listed(self.connection, project, fields, ids=ids, filters=filters):
            yield read(Task, item)

    def tasks_in_tab(self, project: int, tab: int) -> list[int]:
        """The ids of the tasks that a saved tab of the Data Manager shows.

        Raises:
            LabelStudioNotFoundError: the project has no such tab.
        """
        return ids_in_tab(self.connection, project, tab)

    def newest_task(self, project: int) -> int:
        """The greatest id of the project's tasks, 0 where it has none."""
        return newest_id(self.connection, project)

    def predictions_of(self, task: int, model_version: str) -> tuple[StoredPrediction, ...]:
        """The task's predictions of this version, oldest first; none for a task that does not exist."""
        doing = f"list the predictions of task {task}"
        answer = self.connection.request(doing, "GET", "api/predictions/", params={"task": str(task)})
        stored = sorted((read(StoredPrediction, item) for item in answer), key=lambda item: item.id)
        return tuple(item for item in stored if item.model_version == model_version)

    def predictions(
        self, project: int, tasks: Sequence[int], model_version: str
    ) -> Iterator[tuple[int, tuple[StoredPrediction, ...]]]:
        """Each of these tasks that exists, by id, with its predictions of this version, oldest first.

        As stored, and not by the tasks' counts: those follow later, and never when Label Studio dies in between.
        """
        for item in listed(self.connection, project, ("id", "predictions"), ids=tasks, nested=True):
            stored = sorted((read(StoredPrediction, each) for each in item["predictions"]), key=lambda each: each.id)
            yield item["id"], tuple(each for each in stored if each.model_version == model_version)

    def create_prediction(self, prediction: NewPrediction) -> int:
        """Store one prediction and return its id, once it reads back as sent.

        Not repeated by itself: look with `predictions_of` before trying again, since the answer, not the prediction,
        may be what was lost. Label Studio checks nothing here: validate against the labeling config before.

        Raises:
            TaskDeletedError: the task does not exist any more.
            LabelStudioError: Label Studio refuses it or holds something else than was sent.
        """
        doing = f"store a prediction of {prediction.model_version} for task {prediction.task}"
        try:
            answer = self.connection.request(
                doing, "POST", "api/predictions/", json=prediction.as_json(), repeatable=False
            )
        except LabelStudioError as error:
            if "object does not exist" in str(error):
                raise TaskDeletedError(
                    f"Task {prediction.task} of {self.url} does not exist any more; its prediction was not stored."
                ) from None
            raise
        stored = read(StoredPrediction, self.connection.request(doing, "GET", f"api/predictions/{answer['id']}/"))
        prediction.check_stored(stored)
        return stored.id

    def import_predictions(self, project: int, predictions: Sequence[NewPrediction]) -> Imported:
        """Store many predictions of one model version; see `bulk.import_predictions`."""
        return bulk.import_predictions(self, project, predictions)

    def annotated_tasks(self, project: int, since: datetime | None = None) -> Iterator[AnnotatedTask]:
        """The annotations of the project by task; with `since`, of all tasks that were touched at that moment or later.

        A task touched since whose annotations are all gone comes with none. For the next `since` take the newest
        `updated_at` seen less a minute: a change is visible only once it is committed.
        """
        selections = ((updated_since(since),),) if since else ((ANNOTATED,), SKIPPED_ONLY)
        fields = ("id", "annotations", *ANNOTATION_FIELDS)
        for filters in selections:
            for item in listed(self.connection, project, fields, filters=filters, nested=True):
                yield read(AnnotatedTask, {**item, "annotations": [with_result(one) for one in item["annotations"]]})

    def retrieve_predictions(self, project: int, tasks: Sequence[int] | None = None) -> None:
        """What the Data Manager's "Retrieve predictions" does, for these tasks or all of the project.

        Label Studio answers the same whether or not the ML backend did: look at the predictions.
        """
        if tasks is not None and not tasks:
            return  # to Label Studio, nothing included means everything
        selected = {"all": True, "excluded": []} if tasks is None else {"all": False, "included": list(tasks)}
        self.connection.request(
            f"retrieve predictions in project {project}",
            "POST",
            "api/dm/actions",
            params={"id": "retrieve_tasks_predictions", "project": str(project)},
            json={"selectedItems": selected, "filters": {"conjunction": "and", "items": []}, "ordering": []},
            repeatable=False,
            timeout_s=ACTION_TIMEOUT_S,
        )


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        place = parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        place = "", "", 0
    if not place[1]:
        raise SettingsError(f"LABEL_STUDIO_URL is {url!r}: write http(s)://host, with a port or path where it has one.")
    return place
