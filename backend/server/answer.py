"""JSON in and out: one sentence for every refusal, never a traceback."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Response, abort, jsonify, request

SENTENCE_CHARACTERS = 1000
# Label Studio's page renders the sentence as HTML, so that a tag in it would vanish or be interpreted.
WITHOUT_TAGS = str.maketrans({"<": "'", ">": "'"})


def refusal(status: int, sentence: str) -> Response:
    """An error answer. The sentence is in the body, and in the status line as well.

    Label Studio shows a backend's error as `requests` words it, "<status> Client Error: <reason phrase> for url: ...";
    the body never reaches a person. RFC 9112 leaves the phrase to the server: one line of Latin-1 text.
    """
    response = jsonify(error=sentence)
    response.status = f"{status} {_reason_phrase(sentence) or HTTPStatus(status).phrase}"
    return response


def json_object(limit: int) -> dict[str, Any]:
    """The request's JSON object, of at most `limit` bytes.

    Other content types are refused: a browser sends JSON to another site only after asking, so that no web page can
    make its visitor's browser queue work here.
    """
    request.max_content_length = limit
    if not request.is_json:
        abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON with the header Content-Type: application/json.")
    try:
        body = json.loads(request.get_data(cache=False), parse_constant=_refuse_constant)
    except RecursionError:
        abort(HTTPStatus.BAD_REQUEST, "The JSON is nested too deeply.")
    except ValueError as error:
        abort(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.")
    if not isinstance(body, dict):
        abort(HTTPStatus.BAD_REQUEST, f"The body has to be a JSON object, this is {_kind(body)}.")
    return body


def field(body: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401  # JSON of the kind asked for
    """A field that has to be there and of that kind."""
    value = body.get(name)
    if not isinstance(value, kind):
        expected = _kind(kind())
        abort(HTTPStatus.BAD_REQUEST, f"The field {name} has to be {expected}, this is {_kind(value)}.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "missing or null", bool: "true or false"}
    return names.get(type(value), "a number")


def _reason_phrase(sentence: str) -> str:
    words = " ".join(sentence.translate(WITHOUT_TAGS).split())
    phrase = words.encode("latin-1", "replace").decode("latin-1")[:SENTENCE_CHARACTERS]
    return "".join(character for character in phrase if character.isprintable())
