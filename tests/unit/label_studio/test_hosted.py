"""Under label-studio-ml's own server our failures are its clean answers: a status and a sentence, no traceback."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, jsonify, request
from label_studio_ml.exceptions import exception_handler

from backend.errors import LabelConfigError, LedgerError
from backend.label_studio.hosted import UNAVAILABLE, hosted_class
from tests.unit.label_studio.test_plugin import CONFIG, CREDENTIALS, TASKS, FakeIntake, Host2Double, Library2Double

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Response
    from flask.testing import FlaskClient


class FailingIntake(FakeIntake):
    """Refuses the config "bad", and has lost its ledger."""

    def accept(
        self, project: int | None, label_config: str, tasks: Sequence[object], *, context: object = None
    ) -> list[list[dict[str, Any]]]:
        raise LedgerError("postgresql://user:secret@db cannot be reached")


def server_2(intake: FakeIntake) -> FlaskClient:
    """A server as 2.x has it: its routes, each behind the library's own `exception_handler`."""
    host, app = Host2Double(hosted_class(intake)), Flask(__name__)

    def setup() -> Response:
        body = request.get_json()
        return jsonify(model_version=host.setup(body["project"], body["schema"], None))

    def predict() -> Response:
        body = request.get_json()
        return jsonify(results=host.predict(body["project"], body["label_config"], body["tasks"], {**CREDENTIALS}))

    for view in (setup, predict):
        app.add_url_rule(f"/{view.__name__}", view_func=exception_handler(view), methods=["POST"])
    return app.test_client()


@pytest.fixture(autouse=True)
def library_2(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("label_studio_ml.model")
    library.LabelStudioMLBase = Library2Double  # type: ignore[attr-defined]  # what the plugin imports from there
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", library)
    monkeypatch.setattr(Library2Double, "cache", {})


def test_what_is_right_is_answered_as_by_the_plain_class() -> None:
    server = server_2(FakeIntake())

    assert server.post("/setup", json={"project": "7.1", "schema": CONFIG}).get_json() == {"model_version": "tiny-1"}
    answer = server.post("/predict", json={"project": "7.1", "label_config": CONFIG, "tasks": TASKS})
    assert answer.get_json() == {"results": [[], []]}


@pytest.mark.parametrize("path", ["/setup", "/predict"])
def test_a_config_that_cannot_be_used_is_answered_with_its_reason(path: str) -> None:
    body = {"project": "7.1", "schema": "bad", "label_config": "bad", "tasks": TASKS}
    answer = server_2(FakeIntake()).post(path, json=body)

    assert (answer.status_code, answer.get_json()["detail"]) == (400, "no choices for VQ")
    assert "Traceback" not in answer.text


def test_what_only_the_operator_may_know_is_not_answered() -> None:
    answer = server_2(FailingIntake()).post("/predict", json={"project": "7.1", "label_config": CONFIG, "tasks": TASKS})

    assert (answer.status_code, answer.get_json()["detail"]) == (503, UNAVAILABLE)
    assert "secret" not in answer.text


def test_outside_of_a_request_the_error_stays_ours() -> None:
    with pytest.raises(LabelConfigError, match="no choices for VQ"):
        hosted_class(FakeIntake())(project_id="7", label_config="bad")
