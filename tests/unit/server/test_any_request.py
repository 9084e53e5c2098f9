"""Whatever is sent gets a clean answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.requests import CONFIG, payload, task

if TYPE_CHECKING:
    from flask.testing import FlaskClient


POSTS = ("/setup", "/predict", "/webhook", "/versions")
BAD_CONFIG = CONFIG.replace('name="vq"', 'name="colour"')
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "tasks",
        "project",
        "label_config",
        "schema",
        "params",
        "action",
        "annotation",
        "annotations",
        "id",
        "data",
        "title",
    ]
)
VALUES = st.sampled_from(
    [CONFIG, BAD_CONFIG, "ANNOTATION_CREATED", "ANNOTATIONS_DELETED", 7, "7.1", task(1), [task(1)]]
)
LIKELY = st.recursive(
    JSON | VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6), max_leaves=20
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(POSTS), body=LIKELY)
def test_any_json_gets_a_clean_answer(client: FlaskClient, path: str, body: object) -> None:
    answer = client.post(path, data=json.dumps(body), content_type="application/json")
    assert answer.status_code in (200, 400)
    assert answer.get_json() is not None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.fixed_dictionaries({"data": JSON | st.dictionaries(st.sampled_from(["video1", "video2", "prompt"]), JSON)})
)
def test_any_data_of_a_task_gets_a_clean_answer(client: FlaskClient, body: dict[str, Any]) -> None:
    tasks = [{"id": 5, **body}, task(6)]
    answer = client.post("/predict", json={**payload("predict"), "tasks": tasks})
    assert (answer.status_code, answer.get_json()) == (200, {"results": [[], []]})


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(POSTS), body=st.binary())
def test_any_bytes_get_a_clean_answer(client: FlaskClient, path: str, body: bytes) -> None:
    answer = client.post(path, data=body, content_type="application/json")
    assert answer.status_code in (200, 400)
