"""The ML backend protocol as Label Studio 1.23 speaks it: one method for each of its requests."""

from __future__ import annotations

import logging
from http import HTTPStatus
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Response, abort, jsonify, request

from backend.label_studio.plugin import START_TRAINING, project_number
from backend.label_studio.webhook import HINTS
from backend.log import line
from backend.server.answer import field, json_object

if TYPE_CHECKING:
    from flask import Flask

    from backend.server.background import Background
    from backend.server.metrics import Metrics

logger = logging.getLogger(__name__)

SETUP_BYTES = 8_000_000
WEBHOOK_BYTES = 16_000_000  # TASKS_CREATED carries the imported tasks
LARGE_BYTES = 4_000_000


class MlBackend:
    """Answers Label Studio through a label-studio-ml model class, one model object per request.

    `predict_bytes` is the largest `/predict` taken, in bytes.
    """

    def __init__(self, model_class: type[Any], background: Background, metrics: Metrics, *, predict_bytes: int) -> None:
        self._model_class = model_class
        self._background = background
        self._metrics = metrics
        self._predict_bytes = predict_bytes
        # Ten thousand tasks are 32 MB of JSON and several times that as objects: one such request at a time.
        self._large = Lock()

    def route(self, app: Flask) -> None:
        """Add the protocol's routes."""
        app.add_url_rule("/health", view_func=self.health)
        app.add_url_rule("/setup", view_func=self.setup, methods=["POST"])
        app.add_url_rule("/predict", view_func=self.predict, methods=["POST"])
        app.add_url_rule("/webhook", view_func=self.webhook, methods=["POST"])
        app.add_url_rule("/versions", view_func=self.versions, methods=["GET", "POST"])

    def health(self) -> Response:
        """Alive. Asks nobody: Label Studio waits a second at most, and drops the user's request otherwise."""
        return jsonify(status="UP", model_class=self._model_class.__name__)

    def setup(self) -> Response:
        """Check a project's labeling config and say which version the predictions will have.

        Sent with the access token of the project's creator, which is neither used nor kept nor logged.
        """
        body = json_object(SETUP_BYTES)
        model = self._model_class(project_id=_project(body), label_config=field(body, "schema", str))
        return jsonify(model_version=model.get("model_version"))

    def predict(self) -> Response:
        """Queue the tasks. One empty list for each means "queued": Label Studio stores nothing and shows no error."""
        if (request.content_length or 0) < LARGE_BYTES:
            return self._predict()
        with self._large:
            return self._predict()

    def _predict(self) -> Response:
        start = perf_counter()
        body = json_object(self._predict_bytes)
        project, tasks = _project(body), field(body, "tasks", list)
        params = body.get("params")
        context = params.get("context") if isinstance(params, dict) else None
        model = self._model_class(project_id=project, label_config=field(body, "label_config", str))
        results = model.predict(tasks, context=context)
        seconds = perf_counter() - start
        self._metrics.answered_predict(seconds)
        logger.info(line("predict", project=project, tasks=len(tasks), seconds=seconds))
        return jsonify(results=results)

    def webhook(self) -> Response:
        """Take a hint and answer at once; what it says is worked in afterwards. A wish is noted before the answer."""
        body = json_object(WEBHOOK_BYTES)
        action = field(body, "action", str)
        if action == START_TRAINING:
            _require_project(body)
            self._model_class().fit(action, body)
            return jsonify(status="ok", message="An export for retraining was asked for; the status page tells of it.")
        if action not in HINTS:
            return jsonify(status="ignored")
        self._metrics.heard(action)
        taken = self._background.submit(action, lambda: self._model_class().fit(action, body))
        return jsonify(status="ok" if taken else "dropped")

    def versions(self) -> Response:
        """The one version of this backend; Label Studio offers it for choosing."""
        return jsonify(versions=[self._model_class().get("model_version")])


def _project(body: dict[str, Any]) -> int:
    number = project_number(body.get("project"))
    if number is None:
        abort(HTTPStatus.BAD_REQUEST, 'The field project has to be a project\'s id, as 7 or "7.1795331242".')
    return number


def _require_project(body: dict[str, Any]) -> None:
    """Webhooks tell a project as an object."""
    told = body.get("project")
    if not isinstance(told, dict) or project_number(told.get("id")) is None:
        abort(HTTPStatus.BAD_REQUEST, "The field project has to be a project as Label Studio sends it, with its id.")
