"""An app on the test's own ledger and a fake queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend.server import create_app
from backend.settings import Settings
from backend.version import model_version
from tests.unit.requests import FakeQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

    from backend.ledger import Ledger


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def make_app(
    ledger: Ledger, queue: FakeQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Flask]]:
    """An app with the settings given, on the test's own ledger and queue."""
    monkeypatch.chdir(tmp_path)
    apps: list[Flask] = []

    def make(**overrides: Any) -> Flask:  # noqa: ANN401  # settings of all kinds
        chosen = Settings(model="tiny", model_revision="r1", **overrides)
        apps.append(create_app(chosen, ledger=ledger, queue=queue))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["background"].close()


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app().test_client()


@pytest.fixture
def version(client: FlaskClient) -> str:
    return model_version(Settings(model="tiny", model_revision="r1"))
