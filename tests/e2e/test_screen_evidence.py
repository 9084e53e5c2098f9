"""What the model saw and wrote, in a real browser: the very frames, in step, and its words as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from backend.label_studio.evidence import Evidence
from backend.types import Dimension
from tests.e2e.desk import SHOWN, Desk, clips
from tests.e2e.numbered import Numbered
from tests.unit.label_studio.judgements import ASK, DECIDE, ODDS, judged

if TYPE_CHECKING:
    from tests.e2e.screen import Screen

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

MARKUP = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b> &lt;i&gt; &amp; '
    '<Choices name="x"><Choice value="y"/></Choices> $video1 {{prompt}} <Style>.vrt{display:none}</Style>'
)
AT_REST_TOGETHER = """() => {
  const [one, two] = [...document.querySelectorAll('video')].filter(v => v.duration > 0);
  return [one, two].every(v => v.paused && !v.seeking) && one.currentTime === two.currentTime;
}"""
OTHER_SCRIPTS = "קופץ שועל חום مرحبا بالعالم 🐼👩‍👧 naïve — 日本語"


def test_both_videos_stay_in_step_through_play_pause_and_every_kind_of_jump(desk: Desk, screen: Screen) -> None:
    task = desk.task(clips("sync"))
    desk.predict(task, judged())
    screen.open_task(desk.project, task)

    screen.page.keyboard.press("Control+Alt+Space")
    screen.page.wait_for_function("[...document.querySelectorAll('video')].some(v => v.currentTime > 0.5)")
    assert [video["paused"] for video in screen.videos()] == [False, False]
    screen.page.keyboard.press("Control+Alt+Space")
    screen.page.wait_for_function(AT_REST_TOGETHER)
    screen.wait_until_still()
    one, two = screen.videos()
    assert one["time"] == two["time"] > 0.5
    screen.repaint()
    repainted = screen.videos()
    assert [video["time"] for video in repainted] == [one["time"], two["time"]]
    assert repainted[0]["number"] == repainted[1]["number"] > 0
    screen.page.keyboard.press("Control+Alt+ArrowRight")
    screen.page.wait_for_function(
        "was => [...document.querySelectorAll('video')].some(v => v.currentTime > was + 0.5)", arg=one["time"]
    )
    screen.wait_until_still()
    one, two = screen.videos()
    assert one["number"] == two["number"] > 24

    screen.jump(1, 85)
    assert [video["number"] for video in screen.videos()] == [84, 84]
    screen.jump(2, 13)
    assert [video["number"] for video in screen.videos()] == [12, 12]
    screen.page.keyboard.press("Control+Alt+ArrowRight")
    screen.wait_until_at(2, 37)
    assert [video["number"] for video in screen.videos()] == [36, 36]


def test_every_inspected_frame_is_a_stroke_on_its_videos_bar(desk: Desk, screen: Screen) -> None:
    pair = clips("marks", Numbered("", 96, 24.0), Numbered("", 45, 30.0, (180, 320)))
    task = desk.task(pair, rates={"fps1": 24, "fps2": 30})
    judgement = judged(clips=(pair[0].clip(1), pair[1].clip(2)))
    desk.predict(task, judgement)
    screen.open_task(desk.project, task)
    evidence = Evidence(judgement, (24.0, 30.0))

    for clip, video in zip(pair, (1, 2), strict=True):
        starts = [mark["start"] for mark in evidence.ranges(cast("Any", video))]
        bar = screen.player(video).locator(".lsf-seeker").bounding_box()
        strokes = screen.player(video).locator(".lsf-minimap__connection")
        assert bar is not None
        assert strokes.count() == len(starts) > 5
        for stroke, start in zip(strokes.all(), starts, strict=True):
            box = stroke.bounding_box()
            assert box is not None
            assert box["x"] - bar["x"] == pytest.approx(start / clip.frames * bar["width"], abs=4)
            assert bar["x"] < box["x"] < bar["x"] + bar["width"]
            assert box["height"] > 10


@pytest.mark.parametrize(
    ("name", "one", "two", "rates"),
    [
        ("usual", Numbered("", 96, 24.0), Numbered("", 81, 16.0, (416, 240)), {"fps1": 24, "fps2": 16}),
        ("turned", Numbered("", 75, 30.0, (240, 426)), Numbered("", 50, 25.0, (320, 320)), {"fps1": 30, "fps2": 25}),
        ("untold", Numbered("", 100, 25.0), Numbered("", 36, 12.0, (426, 240)), {}),
    ],
)
def test_a_named_frame_is_the_very_frame_that_the_model_saw(
    desk: Desk, screen: Screen, name: str, one: Numbered, two: Numbered, rates: dict[str, float]
) -> None:
    pair = clips(name, one, two)
    task = desk.task(pair, rates=rates)
    judgement = judged(clips=(pair[0].clip(1), pair[1].clip(2)))
    desk.predict(task, judgement)
    screen.open_task(desk.project, task)
    evidence = Evidence(judgement, (rates.get("fps1", 24.0), rates.get("fps2", 24.0)))

    for frame in judgement.frames:
        screen.jump(frame.ref.video, evidence.number(frame))
        assert screen.videos()[frame.ref.video - 1]["number"] == frame.index


@pytest.mark.parametrize(
    ("prompt", "thought"),
    [
        (MARKUP, MARKUP),
        (OTHER_SCRIPTS, OTHER_SCRIPTS),
        ("one\n   two <br> still two\n\nfour", "one\n   two"),
        ("https://example.org/not-a-file.txt", "https://example.org/not-a-file.txt"),
        ("many words " * 500, f"{MARKUP}\n" * 500),
    ],
    ids=["markup", "scripts", "lines", "address", "long"],
)
def test_texts_are_shown_as_they_are_and_never_interpreted(
    desk: Desk, screen: Screen, prompt: str, thought: str
) -> None:
    task = desk.task(clips("texts"), prompt)
    judgement = judged(ASK, DECIDE.replace("Taken", f"{thought}\nTaken"), odds=ODDS, prompt=prompt)
    verdict = replace(judgement.verdicts[Dimension.TA], rationale=thought)
    judgement = replace(judgement, verdicts={**judgement.verdicts, Dimension.TA: verdict})
    stored = {item["id"]: item["value"] for item in desk.predict(task, judgement)["result"]}
    screen.open_task(desk.project, task)

    assert screen.page.locator(".vrt-prompt .lsf-richtext__container").inner_text().strip() == prompt.strip()
    assert screen.shown(".vrt-card:nth-child(1) .vrt-why").strip() == thought.strip()
    for fold in screen.page.locator(".vrt-fold .ant-collapse-header").all():
        fold.click()
    screen.page.locator(".vrt-fold-trace [data-testid=htx-textbox-content]").wait_for()
    assert screen.shown(".vrt-fold-trace") == stored["trace"]["text"][0]
    assert screen.page.evaluate("window.hacked") is None
    assert screen.page.locator(".vrt b, .vrt img, .vrt script").count() == 0
    assert screen.choices() == SHOWN
