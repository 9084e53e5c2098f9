"""Many predictions at once: sent together, checked one by one, safe to call again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    LabelStudioUnavailableError,
    TaskDeletedError,
)
from backend.label_studio.records import Imported, NewPrediction, StoredPrediction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backend.label_studio.client import LabelStudioClient

IMPORT_TIMEOUT_S = 300.0
"""Long, because Label Studio goes on storing what nobody waits for any more, and what is sent again is stored twice."""


def import_predictions(client: LabelStudioClient, project: int, predictions: Sequence[NewPrediction]) -> Imported:
    """Store one prediction per task, all of one model version; a task that holds one of it already keeps that.

    Label Studio's bulk endpoint drops what it thinks invalid without a word, returns no ids, refuses everything for one
    deleted task and stores twice what is sent twice. So: look first, send what is missing, read back, and send what was
    dropped one by one. The single endpoint checks nothing: validate against the labeling config before.

    Raises:
        LabelStudioUnavailableError: not now; call again with the same predictions.
        LabelStudioError: the project or the token is refused.
        ValueError: two predictions for one task, or two model versions.
    """
    wanted = {prediction.task: prediction for prediction in predictions}
    versions = {prediction.model_version for prediction in predictions}
    if len(wanted) != len(predictions) or len(versions) > 1:
        raise ValueError("Import predictions of one model version, at most one for each task.")
    found = _stored(client, project, wanted, versions)
    refused: dict[int, LabelStudioError] = {
        task: TaskDeletedError(f"Task {task} is not in project {project} of {client.url}; it was deleted.")
        for task in wanted.keys() - found.keys()
    }
    stored = {task: prediction.id for task, prediction in found.items() if prediction}
    missing = [wanted[task] for task, prediction in found.items() if not prediction]
    _send(client, project, missing)
    written = _stored(client, project, (prediction.task for prediction in missing), versions)
    for prediction in missing:
        try:
            stored[prediction.task] = _confirmed(client, prediction, written.get(prediction.task))
        except (LabelStudioUnavailableError, LabelStudioUnauthorizedError):
            raise
        except LabelStudioError as error:
            refused[prediction.task] = error
    return Imported(stored, refused)


def _stored(
    client: LabelStudioClient, project: int, tasks: Iterable[int], versions: set[str]
) -> dict[int, StoredPrediction | None]:
    """Each of the tasks that exists, with the oldest prediction of the version that it holds."""
    return {
        task: next(iter(stored), None)
        for version in versions
        for task, stored in client.predictions(project, list(tasks), version)
    }


def _send(client: LabelStudioClient, project: int, predictions: Sequence[NewPrediction]) -> None:
    if not predictions:
        return
    try:
        client.connection.request(
            f"store {len(predictions)} predictions in project {project}",
            "POST",
            f"api/projects/{project}/import/predictions",
            json=[prediction.as_json() for prediction in predictions],
            repeatable=False,
            timeout_s=IMPORT_TIMEOUT_S,
        )
    except (LabelStudioUnavailableError, LabelStudioUnauthorizedError, LabelStudioNotFoundError):
        raise
    except LabelStudioError:
        # One task deleted a moment ago is enough for this: reading back shows that none was stored, and each is sent
        # by itself.
        return


def _confirmed(client: LabelStudioClient, sent: NewPrediction, stored: StoredPrediction | None) -> int:
    """The id of a prediction that reads back as sent; sent by itself when the bulk endpoint dropped it."""
    if stored is None:
        return client.create_prediction(sent)
    sent.check_stored(stored)
    return stored.id
