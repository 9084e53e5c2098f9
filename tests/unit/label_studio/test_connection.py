"""Tokens, retries and the mapping of library errors, against real HTTP servers."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from label_studio_sdk import errors as sdk_errors
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.parse_error import ParsingError

from backend.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioUnauthorizedError,
    LabelStudioUnavailableError,
    LabelStudioUnreadableError,
)
from backend.label_studio.connection import Connection, mapped_errors
from tests.unit.label_studio.servers import Exchange, Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.label_studio.servers import Respond

HTTPX_ERRORS = [each for _, each in inspect.getmembers(httpx, inspect.isclass) if issubclass(each, Exception)]
SDK_ERRORS = [ApiError, *(getattr(sdk_errors, name) for name in sdk_errors.__all__)]


def token(kind: str, seconds: float, number: int = 0) -> str:
    """A JWT as Label Studio makes them, valid for that long."""
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    claims = {"token_type": kind, "exp": ends, "jti": str(number)}
    return jwt.encode(claims, "a key of at least thirty-two bytes", algorithm="HS256")


class FakeTokens:
    """Label Studio's answer to a personal access token: a new access token each time; only the newest is accepted."""

    def __init__(self, lifetime_s: float = 300.0) -> None:
        self.lifetime_s = lifetime_s
        self.given: list[str] = []
        self.refuse_next = 0

    def __call__(self, exchange: Exchange) -> None:
        if exchange.path == "/api/token/refresh/":
            self.given.append(token("access", self.lifetime_s, len(self.given)))
            exchange.answer(200, json.dumps({"access": self.given[-1]}).encode(), content_type="application/json")
        elif self.refuse_next or exchange.asked.headers.get("authorization") != f"Bearer {self.given[-1]}":
            self.refuse_next = max(0, self.refuse_next - 1)
            exchange.answer(401, b'{"detail": "expired"}', content_type="application/json")
        else:
            exchange.answer(200, b'{"id": 1}', content_type="application/json")


def saying(status: int, body: bytes = b"{}", **headers: str) -> Respond:
    return lambda exchange: exchange.answer(status, body, **{"content_type": "application/json", **headers})


def ask(server: Served, key: str = "legacy", **options: Any) -> Any:  # noqa: ANN401  # passed on
    connection = Connection(server.url, key, 5.0)
    try:
        return connection.request("do it", "GET", "api/thing", **options)
    finally:
        connection.close()


def test_sends_a_legacy_token_as_it_is() -> None:
    with serving(saying(200, b'{"id": 1}')) as server:
        assert ask(server, " legacy-token\n") == {"id": 1}
    assert [asked.headers["authorization"] for asked in server.requests] == ["Token legacy-token"]


def test_exchanges_a_personal_access_token_once_for_many_requests() -> None:
    tokens, personal = FakeTokens(), token("refresh", 1000)
    with serving(tokens) as server:
        connection = Connection(server.url, personal, 5.0)
        for _ in range(3):
            assert connection.request("do it", "GET", "api/thing") == {"id": 1}
        connection.close()
    assert len(tokens.given) == 1
    assert json.loads(server.requests[0].body) == {"refresh": personal}


def test_exchanges_it_again_when_the_access_token_ends() -> None:
    tokens = FakeTokens(lifetime_s=-1)
    with serving(tokens) as server:
        connection = Connection(server.url, token("refresh", 1000), 5.0)
        for _ in range(3):
            connection.request("do it", "GET", "api/thing")
        connection.close()
    assert len(tokens.given) == 3


def test_exchanges_it_again_when_label_studio_thinks_the_access_token_has_ended() -> None:
    tokens = FakeTokens()
    tokens.refuse_next = 1
    with serving(tokens) as server:
        assert ask(server, token("refresh", 1000)) == {"id": 1}
    assert len(tokens.given) == 2


def test_a_token_that_is_refused_twice_is_a_wrong_one() -> None:
    tokens = FakeTokens()
    tokens.refuse_next = 5
    with serving(tokens) as server, pytest.raises(LabelStudioUnauthorizedError, match="LABEL_STUDIO_API_KEY"):
        ask(server, token("refresh", 1000))
    assert len(tokens.given) == 2


def test_keeps_the_path_that_label_studio_lives_below() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.path = exchange.path.removeprefix("/label-studio")
        tokens(exchange)

    tokens = FakeTokens()
    with serving(answer) as server:
        connection = Connection(f"{server.url}/label-studio", token("refresh", 1000), 5.0)
        connection.request("do it", "GET", "api/thing")
        connection.close()
    assert [asked.path for asked in server.requests] == ["/label-studio/api/token/refresh/", "/label-studio/api/thing"]


@pytest.mark.parametrize("key", ["", "  ", "ключ", "two\nlines", token("refresh", -10)])
def test_an_unusable_key_is_named_before_anything_is_sent(key: str) -> None:
    with serving(saying(200)) as server:
        with pytest.raises(LabelStudioUnauthorizedError, match="API") as caught:
            ask(server, key)
        assert key.strip() == "" or key not in str(caught.value)
        assert server.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, LabelStudioUnreadableError),
        (400, LabelStudioError),
        (401, LabelStudioUnauthorizedError),
        (403, LabelStudioUnauthorizedError),
        (404, LabelStudioNotFoundError),
        (405, LabelStudioError),
        (408, LabelStudioUnavailableError),
        (409, LabelStudioUnavailableError),
        (429, LabelStudioUnavailableError),
        (500, LabelStudioUnavailableError),
        (502, LabelStudioUnavailableError),
        (503, LabelStudioUnavailableError),
        (504, LabelStudioUnavailableError),
    ],
)
def test_names_every_refusal_by_what_can_be_done(status: int, kind: type[LabelStudioError]) -> None:
    body = b'{"detail": "The reason", "validation_errors": {"field": ["wrong"]}, "exc_info": "Traceback ..."}'
    with serving(saying(status, body, location="http://elsewhere/")) as server:
        with pytest.raises(LabelStudioError) as caught:
            ask(server)
        assert type(caught.value) is kind
        assert {f"HTTP {status}", "do it", server.url, "The reason", "wrong"} <= _parts(str(caught.value), server.url)
        assert "Traceback" not in str(caught.value)
    assert len(server.requests) == (4 if kind is LabelStudioUnavailableError else 1)


def _parts(text: str, url: str) -> set[str]:
    words = ("do it", url, "The reason", "wrong", *(f"HTTP {status}" for status in range(300, 600)))
    return {word for word in words if word in text}


def test_shows_no_web_page_of_a_proxy() -> None:
    page = saying(404, b"<html><body>nginx</body></html>", content_type="text/html")
    with serving(page) as server, pytest.raises(LabelStudioNotFoundError) as caught:
        ask(server)
    assert "<" not in str(caught.value)


def test_says_what_to_do_about_private_addresses() -> None:
    body = b'{"detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)"}'
    with serving(saying(403, body)) as server, pytest.raises(LabelStudioError, match="SSRF_PROTECTION") as caught:
        ask(server)
    assert not isinstance(caught.value, LabelStudioUnauthorizedError)


@pytest.mark.parametrize("body", [b"<!doctype html><title>Something else</title>", b"", b"{"])
def test_notices_that_something_else_answers(body: bytes) -> None:
    with serving(saying(200, body)) as server:
        connection = Connection(server.url, token("refresh", 1000), 5.0)
        with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL"):
            connection.request("do it", "GET", "api/thing")
        connection.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_label_studio_that_is_down_may_come_back(url: str) -> None:
    connection = Connection(url, "legacy", 5.0)
    with pytest.raises(LabelStudioUnavailableError, match="cannot be reached to do it"):
        connection.request("do it", "GET", "api/thing")
    connection.close()


def test_what_may_pass_is_tried_again() -> None:
    def answer(exchange: Exchange) -> None:
        saying(503 if len(server.requests) < 3 else 200, b'{"id": 1}')(exchange)

    with serving(answer) as server:
        assert ask(server) == {"id": 1}
    assert len(server.requests) == 3


def test_what_must_not_be_repeated_is_not() -> None:
    with serving(saying(503)) as server, pytest.raises(LabelStudioUnavailableError):
        ask(server, repeatable=False)
    assert len(server.requests) == 1


def test_calls_of_the_sdk_are_mapped_and_repeated_alike() -> None:
    with serving(saying(503)) as server:
        connection = Connection(server.url, "legacy", 5.0)
        with pytest.raises(LabelStudioUnavailableError):
            connection.sdk("list webhooks", lambda sdk: sdk.webhooks.list())
        assert len(server.requests) == 4
        with pytest.raises(LabelStudioUnavailableError):
            connection.sdk("delete a webhook", lambda sdk: sdk.webhooks.delete(1), repeatable=False)
        assert len(server.requests) == 5
        connection.close()


def _instances(kind: type[Exception]) -> Iterator[Exception]:
    """The exception, however it is made."""
    request = httpx.Request("GET", "http://ls")
    for arguments in (
        {"message": "m"},
        {"message": "m", "request": request, "response": httpx.Response(500, request=request)},
        {"body": {"detail": "m"}},
        {"body": {"detail": "m"}, "status_code": 500},
        {},
    ):
        try:
            yield kind(**arguments)
        except TypeError:
            continue
        return


@pytest.mark.parametrize("kind", [*HTTPX_ERRORS, *SDK_ERRORS], ids=lambda kind: kind.__name__)
def test_no_library_error_is_left_unmapped(kind: type[Exception]) -> None:
    [error] = _instances(kind)
    with pytest.raises(LabelStudioError) as caught, mapped_errors("do it", "http://ls"):
        raise error
    assert caught.value.__cause__ is None


def test_errors_about_the_answers_shape_are_mapped() -> None:
    for error in (
        JSONDecodeError("m", "", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "m"),
        ParsingError(status_code=200, headers={}, body={}, cause=ValueError("m")),
    ):
        with (
            pytest.raises(LabelStudioError, match="does not look like Label Studio"),
            mapped_errors("do it", "http://ls"),
        ):
            raise error
