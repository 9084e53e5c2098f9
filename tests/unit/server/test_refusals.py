"""Whatever is wrong with a request, one sentence says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from backend.ledger import Ledger
from tests.unit.requests import CONFIG, FakeQueue, payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient


BAD_CONFIG = CONFIG.replace('name="vq"', 'name="colour"')


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[]", "a JSON object, this is a list"),
        (b"null", "a JSON object, this is missing or null"),
        (b"7", "a JSON object, this is a number"),
        (b"{}", "has to be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_that_makes_no_sense_gets_400_and_a_sentence(
    client: FlaskClient, path: str, body: bytes, sentence: str
) -> None:
    answer = client.post(path, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert sentence in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tasks": None}, "The field tasks has to be a list"),
        ({"tasks": {}}, "The field tasks has to be a list"),
        ({"project": None}, "The field project has to be a project's id"),
        ({"project": "one"}, "The field project has to be a project's id"),
        ({"label_config": None}, "The field label_config has to be a text"),
        ({"label_config": "<View>"}, "not well-formed XML"),
        ({"label_config": BAD_CONFIG}, "no choices for VQ"),
        ({"label_config": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"}, "document type"),
    ],
)
def test_predict_names_the_field_that_is_wrong(client: FlaskClient, change: dict[str, object], sentence: str) -> None:
    answer = client.post("/predict", json={**payload("predict"), **change})
    assert answer.status_code == 400
    assert sentence in answer.get_json()["error"]


def test_a_form_or_text_from_a_web_page_is_refused(client: FlaskClient, queue: FakeQueue) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/predict", data=json.dumps(payload("predict")), content_type=kind)
        assert answer.status_code == 415
    assert queue.waiting == []


def test_a_request_that_is_too_large_is_refused(make_app: Callable[..., Flask]) -> None:
    client = make_app(web_max_bytes=1000).test_client()
    answer = client.post("/predict", json=payload("predict"))
    assert answer.status_code == 413
    assert answer.is_json


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/train", 404), ("/predict", 405)])
def test_what_does_not_exist_is_refused_in_json(client: FlaskClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.get_json()["error"]


def test_a_method_that_is_not_allowed_is_refused_with_those_that_are(client: FlaskClient) -> None:
    assert set(client.get("/predict").allow) == {"OPTIONS", "POST"}


def test_a_failure_of_ours_is_told_without_its_inside(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(Ledger, "enter", fail)
    answer = client.post("/predict", json=payload("predict"))
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    assert "hunter2" in caplog.text
