"""Basic auth for everything but /health, and the secret header for /webhook."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from backend.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


USER, PASSWORD, SECRET = "ml", "pässword", "s3cr3t"
WITH_BASIC = {"basic_auth_user": USER, "basic_auth_pass": PASSWORD}
WITH_SECRET = {"webhook_secret": SECRET}


def basic(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/", "/metrics", "/versions", "/static/status.css", "/nowhere"])
def test_everything_but_health_needs_the_password(make_app: Callable[..., Flask], path: str) -> None:
    client = make_app(**WITH_BASIC).test_client()
    assert client.get("/health").status_code == 200
    for headers in (
        {},
        basic("ml", "wrong"),
        basic("wrong"),
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic ?"},
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert "Basic" in answer.headers["WWW-Authenticate"]
    with client.get(path, headers=basic()) as page:
        assert page.status_code == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize(
    ("chosen", "headers", "status"),
    [
        ({}, {}, 200),
        (WITH_SECRET, {}, 401),
        (WITH_SECRET, {"X-Webhook-Secret": "wrong"}, 401),
        (WITH_SECRET, {"X-Webhook-Secret": SECRET}, 200),
        (WITH_BASIC, {}, 401),
        (WITH_BASIC, {"X-Webhook-Secret": ""}, 401),
        (WITH_BASIC, basic(), 200),
        ({**WITH_BASIC, **WITH_SECRET}, {}, 401),
        ({**WITH_BASIC, **WITH_SECRET}, {"X-Webhook-Secret": SECRET}, 200),
        ({**WITH_BASIC, **WITH_SECRET}, basic(), 200),
    ],
)
def test_a_webhook_needs_one_of_what_is_set(
    make_app: Callable[..., Flask], chosen: dict[str, str], headers: dict[str, str], status: int
) -> None:
    client = make_app(**chosen).test_client()
    assert client.post("/webhook", json={"action": "OTHER"}, headers=headers).status_code == status


def test_the_secret_opens_nothing_else(make_app: Callable[..., Flask]) -> None:
    client = make_app(**WITH_BASIC, **WITH_SECRET).test_client()
    assert client.get("/", headers={"X-Webhook-Secret": SECRET}).status_code == 401


def test_webhooks_that_cannot_get_in_are_told_about(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(**WITH_BASIC).test_client()
    assert "Set WEBHOOK_SECRET" in caplog.text
    assert "Set WEBHOOK_SECRET" in client.get("/", headers=basic()).text
    assert "Set WEBHOOK_SECRET" in client.post("/webhook", json={}).status


@pytest.mark.parametrize("half", [{"basic_auth_user": USER}, {"basic_auth_pass": PASSWORD}])
def test_half_of_the_basic_auth_is_an_error(make_app: Callable[..., Flask], half: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="BASIC_AUTH_USER"):
        make_app(**half)
