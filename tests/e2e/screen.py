"""The annotation screen as a person meets it: a real Chromium in front of a real Label Studio."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.e2e.numbered import BARS
from tests.needs import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

    from tests.e2e.conftest import LabelStudioHandle

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "screens"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TITLES = {"TA": "Text alignment", "VQ": "Visual quality", "MQ": "Motion quality", "OA": "Overall"}
PATIENCE_MS = 120_000  # a loaded machine with two cores takes its time

CHECKED = """cards => cards.map(card => {
  const chosen = card.querySelector('.ant-radio-wrapper-checked .ant-radio + span');
  return [card.querySelector('h4').innerText, chosen && chosen.innerText.replace(/\\s*\\[.*/s, '')];
})"""
READY = """() => {
  const all = [...document.querySelectorAll('video')].filter(v => v.readyState === 4 && v.duration > 0);
  return all.length === 2 && all.every(v => !v.seeking);
}"""
# The players tell each other of every jump, and place the strokes on their bars only once they know their width. A word
# still on its way would undo the next jump, so nothing is pressed or measured before all have stood still for a while:
# so many looks, not so many milliseconds, since a busy machine can let those pass while the page itself stands.
STILL = """() => new Promise(done => {
  const told = () => JSON.stringify([
    [...document.querySelectorAll('.lsf-frames-control')].map(counter => counter.innerText),
    [...document.querySelectorAll('.lsf-minimap__connection')].map(stroke => stroke.getBoundingClientRect().x),
    [...document.querySelectorAll('video')].map(v => [v.currentTime, v.seeking, v.readyState]),
  ]);
  let last = told(), same = 0;
  const look = () => {
    const now = told();
    same = now === last ? same + 1 : 0;
    last = now;
    if (same === 8) done(); else setTimeout(look, 50);
  };
  look();
})"""
VIDEOS = """(bars) => [...document.querySelectorAll('video')].filter(v => v.duration > 0).map(v => {
  const canvas = Object.assign(document.createElement('canvas'), {width: v.videoWidth, height: v.videoHeight});
  const paper = canvas.getContext('2d');
  paper.drawImage(v, 0, 0);
  let number = 0;
  for (let bar = 0; bar < bars; bar++) {
    const [red] = paper.getImageData((bar + 0.5) * canvas.width / bars, canvas.height / 2, 1, 1).data;
    if (red > 128) number |= 1 << bar;
  }
  return {src: v.currentSrc, time: v.currentTime, paused: v.paused, number};
})"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or the one that playwright brought; headless."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        if not Path(found).is_file():
            missing("needs Chromium: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Screen:
    """One annotator's browser window."""

    def __init__(self, page: Page, label_studio: LabelStudioHandle) -> None:
        """`page` is logged in."""
        self.page = page
        self._url = label_studio.url

    @classmethod
    @contextmanager
    def opened(
        cls,
        browser: Browser,
        label_studio: LabelStudioHandle,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
    ) -> Iterator[Screen]:
        """A fresh window of that size, logged in."""
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(f"localStorage.setItem('preferred-color-scheme', '{'Dark' if dark else 'Light'}')")
        page = context.new_page()
        page.goto(f"{label_studio.url}/user/login/", wait_until="commit")
        page.fill("input[name=email]", label_studio.user)
        page.fill("input[name=password]", label_studio.password)
        page.keyboard.press("Enter")
        page.wait_for_function("!location.pathname.startsWith('/user/login')")
        try:
            yield cls(page, label_studio)
        finally:
            context.close()

    def open_task(self, project: int, task: int) -> None:
        """Open one task from the Data Manager."""
        self.page.goto(f"{self._url}/projects/{project}/data?task={task}", wait_until="commit")
        self.wait_until_ready()

    def open_stream(self, project: int) -> None:
        """Open the label stream at its next task."""
        self.page.goto(f"{self._url}/projects/{project}/data?labeling=1", wait_until="commit")
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Both videos are loaded, the players know how long they are, and everything is in its place."""
        self.page.wait_for_selector(".vrt-card .lsf-choices")
        self.page.wait_for_function(READY)
        for number in (1, 2):
            self.page.wait_for_function(
                "n => /of [1-9]/.test(document.querySelectorAll('.lsf-frames-control')[n - 1]?.innerText || '')",
                arg=number,
            )
        self.wait_until_still()

    def choices(self) -> dict[str, str | None]:
        """What is chosen per dimension, by its title; None where nothing is."""
        return dict(self.page.locator(".vrt-card").evaluate_all(CHECKED))

    def card(self, dimension: str) -> Locator:
        """The card of TA, VQ, MQ or OA."""
        return self.page.locator(".vrt-card").filter(has=self.page.locator(f"h4:text-is('{TITLES[dimension]}')"))

    def choose(self, dimension: str, choice: str) -> None:
        """Click a choice."""
        self.card(dimension).locator(".ant-radio-wrapper", has_text=choice).click()

    def expect_choice(self, dimension: str, choice: str) -> None:
        """Wait until it is chosen."""
        self.card(dimension).locator(".ant-radio-wrapper-checked", has_text=choice).wait_for()

    def shown(self, place: str) -> str:
        """The text in the read-only view of a text area under this selector, as a person reads it."""
        return self.page.locator(f"{place} [data-testid=htx-textbox-content]").inner_text().replace("\u00a0", " ")

    def rewrite(self, dimension: str, text: str) -> None:
        """Edit the reason on a card."""
        why = self.card(dimension).locator(".vrt-why")
        why.locator("[data-testid=htx-textbox-content]").hover()
        why.locator("[data-testid=htx-textbox-edit-button]").click()
        why.locator("textarea").fill(text)
        why.locator("[data-testid=htx-textbox-save]").click()
        why.locator("[data-testid=htx-textbox-content]", has_text=text).wait_for()

    def player(self, video: int) -> Locator:
        """The box of Video 1 or 2."""
        return self.page.locator(".vrt-video").nth(video - 1)

    def wait_until_still(self) -> None:
        """Both players have come to rest."""
        self.page.wait_for_function(READY)
        self.page.evaluate(STILL)

    def jump(self, video: int, frame: int) -> None:
        """Type a frame's number into a player's counter."""
        self.wait_until_still()
        counter = self.player(video).locator(".lsf-frames-control")
        counter.click()
        counter.locator("input").fill(str(frame))
        counter.locator("input").press("Enter")
        self.wait_until_at(video, frame)

    def wait_until_at(self, video: int, frame: int) -> None:
        """A player's counter tells this frame, and both pictures have arrived."""
        told = re.compile(rf"^\s*{frame}\s*of")
        self.player(video).locator(".lsf-frames-control", has_text=told).wait_for()
        self.wait_until_still()

    def repaint(self) -> None:
        """Have both videos paint what they hold: while they play, Chromium paints for the screen's next refresh."""
        self.page.evaluate("document.querySelectorAll('video').forEach(v => { v.currentTime = v.currentTime; })")
        self.wait_until_still()

    def videos(self) -> list[dict[str, float]]:
        """Of Video 1 and 2: `time` in seconds, `paused`, and the `number` that the picture shows."""
        # The page keeps its video elements in any order; the players ask for their files by these names.
        found = {video["src"]: video for video in self.page.evaluate(VIDEOS, BARS)}
        return [found[source] for source in sorted(found)]

    def submitted(self, press: str | Locator) -> dict[str, object]:
        """Press a key or a button; the annotation that it sends, as Label Studio stored it."""
        with self.page.expect_response(
            lambda answer: "/annotations" in answer.url and answer.request.method in {"POST", "PATCH"}
        ) as caught:
            if isinstance(press, str):
                self.page.keyboard.press(press)
            else:
                press.click()
        answer = caught.value
        assert answer.ok, answer.text()
        stored: dict[str, object] = answer.json()
        return stored

    def picture(self, name: str) -> Path:
        """Keep what the window shows as a test artefact."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        # What fades in is there; a dialog of Label Studio's is opened by one frame and shown by the next ones.
        self.page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => null)))")
        self.page.screenshot(path=path, animations="disabled")
        return path
