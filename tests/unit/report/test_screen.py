"""The page as a person meets it: a real Chromium without JavaScript, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.bench.answers import Made, fill
from backend.ledger import Ledger
from backend.report import folder
from backend.report.compose import report_on
from backend.report.gather import Wanted
from tests.e2e.screen import ARTIFACTS, chromium
from tests.unit.report.project import NOW
from tests.unit.report.test_page import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
WIDTH = 1366


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a made-up project with two versions, whose prompts are hostile."""
    place = tmp_path_factory.mktemp("screen")
    url = f"sqlite:///{place / 'ledger.db'}"
    fill(url, Made(300, prompt=HOSTILE))
    ledger = Ledger.open(url)
    report = report_on(ledger, 1, Wanted(), made_at=NOW)
    ledger.close()
    folder.write(report, place / "report")
    return place / "report" / "report.html"


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 24, 29)")])
def test_the_page_is_readable_in_light_and_dark(
    browser: Browser, page_file: Path, scheme: str, background: str
) -> None:
    context = browser.new_context(
        viewport={"width": WIDTH, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]  # one of two literals
        java_script_enabled=False,
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(page_file.as_uri())
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"report-{scheme}.png", full_page=True)
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()], "nothing is loaded"
    assert said == []
    shown = page.locator("body").evaluate(
        "body => ({paper: getComputedStyle(body).backgroundColor, width: document.documentElement.scrollWidth,"
        " drawn: [...document.querySelectorAll('svg')].every(svg => svg.getBoundingClientRect().height > 100)})"
    )
    assert shown == {"paper": background, "width": WIDTH, "drawn": True}
    assert page.locator(".prompt").first.inner_text().strip().startswith(HOSTILE)
    context.close()
