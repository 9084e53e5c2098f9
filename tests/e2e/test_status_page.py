"""The status page as a project manager meets it: a real Chromium without JavaScript, in front of a real web process."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rq.worker import WorkerStatus

from backend.demo.process import free_port
from backend.jobs.comparing import Comparing
from backend.ledger import Annotation, Key, Ledger, Project, State
from backend.settings import Settings
from backend.types import PairwiseTask
from backend.version import model_version
from backend.wire import Failure, Order, Outcome
from backend.worker.steady import SteadyWorker
from tests.e2e.screen import ARTIFACTS, chromium
from tests.integration.conftest import wait_for
from tests.integration.web import MODEL, start_web
from tests.unit.label_studio.judgements import ODDS, judged
from tests.unit.requests import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from backend.queue import WorkQueue
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

PROJECT = 7
USER, PASSWORD = "lead", "s3cret"
TRUTH_S = 5.0
REASONS = {"media": "Video 2 answers 404. Open its URL in Label Studio.", "engine": "Out of GPU memory."}


@dataclass
class Site:
    """A web process, its ledger, and its model version."""

    url: str
    ledger: Ledger
    version: str
    queue: WorkQueue

    def pair(self, number: int) -> PairwiseTask:
        """A task of the project."""
        return PairwiseTask(PROJECT, number, f"/{number}_a.mp4", f"/{number}_b.mp4", "A paper plane loops.")

    def judge(self, number: int) -> None:
        """The task is judged and published."""
        judgement = replace(judged(odds=ODDS), model_version=self.version)
        self.ledger.record(Outcome(Order(self.pair(number), self.version), judgement=judgement))
        self.ledger.mark_all_published({Key(PROJECT, number, self.version): 1000 + number})

    def fail(self, number: int, reason: str) -> None:
        """The task has failed."""
        failure = Failure(reason, REASONS[reason], False)
        self.ledger.record(Outcome(Order(self.pair(number), self.version), failure=failure))

    def answer(self, number: int, labels: dict[str, str]) -> None:
        """A person's answer to a published task."""
        result = [
            {"from_name": name, "to_name": "video1", "type": "choices", "value": {"choices": [value]}}
            for name, value in labels.items()
        ]
        moment = datetime.now(UTC)
        self.ledger.remember_annotation(
            Annotation(5000 + number, PROJECT, number, 3, result, 1000 + number, False, 20.0, moment, moment, "webhook")
        )
        Comparing(self.ledger).run()


@pytest.fixture
def site(tmp_path: Path, redis_server: RedisServer, redis_queue: WorkQueue) -> Iterator[Site]:
    port, database = free_port(0), f"sqlite:///{tmp_path}/ledger.db"
    told: dict[str, Any] = {"BASIC_AUTH_USER": USER, "BASIC_AUTH_PASS": PASSWORD, "WEBHOOK_SECRET": "hook"}
    process = start_web(tmp_path, PORT=str(port), REDIS_URL=redis_server.url, DATABASE_URL=database, **told)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "web.log").read_text()
        try:
            return httpx.get(f"{url}/health").is_success
        except httpx.TransportError:
            return False

    wait_for(answers)
    version = model_version(Settings(**MODEL, _env_file=None))  # type: ignore[arg-type]  # pydantic checks the values
    ledger = Ledger.open(database)
    ledger.remember_project(Project(PROJECT, "Pairs of May & June", CONFIG))
    yield Site(url, ledger, version, redis_queue)
    ledger.close()
    process.kill()
    process.wait(30)


@pytest.fixture
def busy(site: Site) -> Iterator[Site]:
    """A project in the middle of its work, and a worker on a GPU."""
    site.ledger.enter([site.pair(number) for number in range(1, 41)], site.version)
    for number in range(1, 21):
        site.judge(number)
    for number, reason in ((21, "media"), (22, "media"), (23, "engine")):
        site.fail(number, reason)
    opinions = ("Video 2", "Video 2", "Tie", "Video 1")
    for number in range(1, 17):
        site.answer(number, dict.fromkeys(("ta", "mq", "oa"), opinions[number % 4]) | {"vq": opinions[number % 3]})
    facts = {"model_version": site.version, "device": "cuda:0 NVIDIA A100-SXM4-40GB"}
    memory = {"memory_free": "21300000000", "memory_total": "42300000000"}
    judging, publishing = site.queue.judging(site.version), site.queue.publishing
    workers = [
        SteadyWorker(
            judging, {}, maintenance_interval_s=60, facts=facts, measure=lambda: memory, name="gpu-box-811-5c1e07"
        ),
        SteadyWorker(publishing, {}, maintenance_interval_s=60, name="web-box-97-a3f2b9"),
    ]
    for worker in workers:
        worker.register_birth()
        worker.set_state(WorkerStatus.IDLE)
    yield site
    for worker in workers:
        worker.register_death()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, site: Site, scheme: str = "light") -> Page:
    context = browser.new_context(
        http_credentials={"username": USER, "password": PASSWORD},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=False,
        viewport={"width": 1200, "height": 1000},
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(site.url)
    return page


def colours(page: Page, selector: str) -> tuple[str, str]:
    """Background and text colour of the first match, as the browser paints them."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
    computed = session.send("CSS.getComputedStyleForNode", {"nodeId": node})["computedStyle"]
    found = {one["name"]: one["value"] for one in computed}
    return found["background-color"], found["color"]


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 24, 29)")])
def test_everything_is_there_in_light_and_dark(browser: Browser, busy: Site, scheme: str, paper: str) -> None:
    errors: list[str] = []
    page = opened(browser, busy, scheme)
    page.on("console", lambda message: errors.append(message.text))
    page.reload()
    assert page.locator("h2", has_text="Pairs of May & June").count() == 1
    assert page.locator("dd").all_inner_texts() == ["17", "0", "20", "3", "0"]
    assert page.get_by_text("judged per minute").count() == 1
    assert page.get_by_text("21.3 of 42.3 GB free").count() == 1
    assert page.locator("svg rect.agree").count() == 4
    assert page.locator("svg[role=img] title").count() == 4
    bar = page.locator("svg").first.bounding_box()
    assert bar is not None
    assert bar["width"] > 200
    assert bar["height"] > 10
    link = page.locator("a", has_text="23")
    assert (link.get_attribute("href") or "").endswith(f"/projects/{PROJECT}/data?task=23")
    assert colours(page, "body")[0] == paper
    assert errors == [], "the page breaks its own content security policy"
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"status-page-{scheme}.png", full_page=True)
    page.context.close()


def test_the_retry_button_works_without_javascript(browser: Browser, busy: Site) -> None:
    page = opened(browser, busy)
    page.locator("tr", has_text="media").get_by_role("button", name="Retry").click()
    page.locator("dd").first.wait_for()
    assert page.locator("dd").all_inner_texts() == ["19", "0", "20", "1", "0"]
    assert page.url == f"{busy.url}/"
    wait_for(lambda: len(busy.queue.judging(busy.version).get_job_ids()) >= 2)
    page.context.close()


def test_pausing_by_button_takes_the_work_off_the_queue(browser: Browser, busy: Site) -> None:
    busy.queue.enqueue(Order(busy.pair(number), busy.version) for number in range(24, 41))
    page = opened(browser, busy)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused.").wait_for()
    assert busy.queue.counts().judge_waiting == 0
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    assert not busy.ledger.paused().covers(PROJECT)
    page.context.close()


@pytest.mark.parametrize("change", ["count", "failure", "answer", "pause"])
def test_it_tells_the_truth_within_five_seconds(browser: Browser, busy: Site, change: str) -> None:
    page = opened(browser, busy)
    page.wait_for_timeout(200)  # the worst moment for a change is right after a page was made
    started = time.monotonic()
    match change:
        case "count":
            busy.judge(30)
            seen = page.get_by_text("21", exact=True)
        case "failure":
            busy.fail(31, "engine")
            seen = page.locator("a", has_text="31")
        case "answer":
            busy.answer(17, dict.fromkeys(("ta", "mq", "vq", "oa"), "Tie"))
            seen = page.get_by_text("17 answers")
        case _:
            busy.ledger.pause(PROJECT)
            seen = page.get_by_text("Paused.")
    seen.first.wait_for()
    assert time.monotonic() - started < TRUTH_S
    page.context.close()


def test_the_state_after_a_retry_is_the_ledgers(browser: Browser, busy: Site) -> None:
    page = opened(browser, busy)
    page.locator("tr", has_text="engine").get_by_role("button", name="Retry").click()
    page.locator("dd").first.wait_for()
    entry = busy.ledger.entry(Key(PROJECT, 23, busy.version))
    assert entry is not None
    assert entry.state is State.QUEUED
    page.context.close()
