"""A real Label Studio for the session, and the whole stack around it for one test."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from backend.demo.label_studio import LabelStudio, install_label_studio
from backend.demo.process import Processes, free_port, locked
from backend.demo.secret import load_credentials, new_credentials, store
from backend.demo.services import ROOT
from backend.errors import ServiceError
from tests.e2e.desk import Desk
from tests.e2e.screen import Screen, chromium
from tests.needs import missing
from tests.unit.label_studio.configs import FULL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

TEMPLATE = ROOT / ".cache" / "label-studio-1.23.2"
CREDENTIALS = "credentials.json"
FIRST_RUN_S = 900  # the first test of a fresh machine also installs Label Studio and waits for its migrations


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the end-to-end tests the time that a first run takes."""
    for item in items:
        if "e2e" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(FIRST_RUN_S))


@dataclass(frozen=True, slots=True)
class LabelStudioHandle:
    """A running Label Studio. Its user is a superuser; `files_root` is its local-files document root.

    `client` is a plain HTTP client on `url` that sends the legacy token, for looking at Label Studio from the side.
    A local-files storage covers folders *below* `files_root` only.
    """

    url: str
    personal_access_token: str
    legacy_token: str
    user: str
    password: str
    files_root: Path
    client: httpx.Client


def _template(processes: Processes, program: Path) -> Path:
    """A data folder after its 80 s of migrations, with a user and tokens; made once, then copied."""
    with locked(TEMPLATE.parent / "label-studio.lock"):
        if not (TEMPLATE / CREDENTIALS).is_file():
            shutil.rmtree(TEMPLATE, ignore_errors=True)
            server = LabelStudio(
                program, TEMPLATE / "data", TEMPLATE / "files", free_port(0), new_credentials(), TEMPLATE / "log"
            )
            running = processes.start(server.command())
            ready = server.wait(running)
            running.stop()
            store(TEMPLATE / CREDENTIALS, ready.credentials)
    return TEMPLATE


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioHandle]:
    """A Label Studio of the session's own, ready after about 10 s (some minutes the very first time)."""
    folder = tmp_path_factory.mktemp("label-studio")
    with Processes(folder / "run") as processes:
        try:
            program = install_label_studio(processes)
            template = _template(processes, program)
        except ServiceError as error:
            missing(f"needs a real Label Studio: {error}")
        shutil.copytree(template / "data", folder / "data")
        credentials = load_credentials(template / CREDENTIALS)
        assert credentials is not None
        server = LabelStudio(program, folder / "data", folder / "files", free_port(0), credentials, folder / "log")
        server.wait(processes.start(server.command()))
        token = {"Authorization": f"Token {credentials.legacy_token}"}
        with httpx.Client(base_url=server.url, headers=token, timeout=120) as client:
            yield LabelStudioHandle(
                url=server.url,
                personal_access_token=credentials.personal_access_token,
                legacy_token=credentials.legacy_token,
                user=credentials.user,
                password=credentials.password,
                files_root=server.files_root,
                client=client,
            )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def desk(label_studio: LabelStudioHandle) -> Desk:
    """A project with the annotation screen as shipped."""
    return Desk(label_studio, FULL)


@pytest.fixture
def screen(browser: Browser, label_studio: LabelStudioHandle) -> Iterator[Screen]:
    """A logged-in window of 1440 x 900 pixels."""
    with Screen.opened(browser, label_studio) as opened:
        yield opened
