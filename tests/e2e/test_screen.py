"""The annotation screen in a real browser: what becomes of what people do there, in all three variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from backend.label_studio.convert import rationales_of
from backend.label_studio.layout import parse_layout
from backend.types import Dimension, Preference
from tests.e2e.desk import PREFERRED, SHOWN, Desk
from tests.e2e.screen import Screen
from tests.unit.label_studio.configs import BLIND, FULL, MINIMAL
from tests.unit.label_studio.judgements import ODDS, judged

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.e2e.conftest import LabelStudioHandle

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_a_prediction_is_prefilled_and_accepted_with_one_click(desk: Desk, screen: Screen) -> None:
    task = desk.predicted()
    screen.open_task(desk.project, task)

    assert screen.choices() == SHOWN
    assert screen.shown(".vrt-card:nth-child(3) .vrt-note").splitlines()[0] == "Model: Video 2, confidence 97 %"
    assert "freezes between frames 52 and 68" in screen.shown(".vrt-card:nth-child(3) .vrt-why")

    screen.submitted(screen.page.get_by_role("button", name="Submit"))
    (annotation,) = desk.annotations(task)
    assert annotation["parent_prediction"] == desk.predictions[task]
    assert not annotation["was_cancelled"]
    assert desk.labels(annotation) == PREFERRED


def test_a_corrected_choice_and_its_reason_are_recorded_and_nothing_else_changes(desk: Desk, screen: Screen) -> None:
    task = desk.predicted()
    screen.open_task(desk.project, task)
    before = {d: verdict.rationale for d, verdict in judged(odds=ODDS).verdicts.items() if verdict.rationale}

    screen.choose("MQ", "Video 1")
    screen.expect_choice("MQ", "Video 1")
    screen.rewrite("MQ", "Video 2 jumps at the end.")
    screen.picture("corrected")
    screen.submitted(screen.page.get_by_role("button", name="Submit"))

    (annotation,) = desk.annotations(task)
    assert desk.labels(annotation) == {**PREFERRED, Dimension.MQ: Preference.VIDEO_1}
    assert rationales_of(parse_layout(FULL), annotation["result"]) == {
        **before,
        Dimension.MQ: "Video 2 jumps at the end.",
    }
    assert annotation["parent_prediction"] is not None


def test_three_tasks_pass_through_the_label_stream_by_keyboard_alone(
    label_studio: LabelStudioHandle, screen: Screen
) -> None:
    desk = Desk(label_studio, FULL)
    tasks = [desk.predicted() for _ in range(3)]
    screen.open_stream(desk.project)

    assert screen.choices() == SHOWN
    first = screen.submitted("Control+Enter")
    screen.wait_until_ready()
    screen.expect_choice("MQ", "Video 2")
    screen.page.keyboard.press("a")
    screen.page.keyboard.press("x")
    screen.expect_choice("MQ", "Video 1")
    screen.expect_choice("OA", "Tie")
    second = screen.submitted("Control+Enter")
    screen.wait_until_ready()
    screen.expect_choice("MQ", "Video 2")
    third = screen.submitted("Control+Space")

    done = {answer["task"]: answer for answer in (first, second, third)}
    assert sorted(cast("set[int]", done)) == sorted(tasks)
    assert [answer["was_cancelled"] for answer in (first, second, third)] == [False, False, True]
    assert [answer["parent_prediction"] for answer in (first, second)] == [
        desk.predictions[cast("int", answer["task"])] for answer in (first, second)
    ]
    assert desk.labels(first) == PREFERRED
    assert desk.labels(second) == {**PREFERRED, Dimension.MQ: Preference.VIDEO_1, Dimension.OA: Preference.TIE}


def test_every_choice_has_a_key_of_its_own_that_it_shows(desk: Desk, screen: Screen) -> None:
    screen.open_task(desk.project, desk.film())
    assert screen.choices() == dict.fromkeys(SHOWN)

    for dimension, keys in {"TA": "123", "VQ": "qwe", "MQ": "asd", "OA": "zxc"}.items():
        for key, choice in zip(keys, ("Video 1", "Tie", "Video 2"), strict=True):
            screen.page.keyboard.press(key)
            screen.expect_choice(dimension, choice)
            assert f"[{key}]" in screen.card(dimension).locator(".ant-radio-wrapper-checked").inner_text().lower()


def test_an_open_dimension_is_named_and_nothing_is_submitted_until_it_is_chosen(desk: Desk, screen: Screen) -> None:
    task = desk.film()
    screen.open_task(desk.project, task)
    for dimension in ("TA", "VQ", "OA"):
        screen.choose(dimension, "Tie")
    screen.page.keyboard.press("Control+Enter")

    warning = screen.page.get_by_role("dialog").filter(has_text="Motion quality (MQ) is still open")
    warning.wait_for()
    assert "Video 1 [A], Tie [S] or Video 2 [D]" in warning.inner_text()
    warning.get_by_role("button", name="OK").click(trial=True)  # which waits until it stands still
    screen.picture("required")
    assert desk.annotations(task) == []

    warning.get_by_role("button", name="OK").click()
    warning.wait_for(state="hidden")
    screen.choose("MQ", "Tie")
    screen.submitted("Control+Enter")
    assert set(desk.labels(desk.annotations(task)[0]).values()) == {Preference.TIE}


def test_the_blind_screen_shows_nothing_of_the_model_and_asks_for_the_choice_first(
    label_studio: LabelStudioHandle, screen: Screen
) -> None:
    desk = Desk(label_studio, BLIND)
    task = desk.film()
    screen.open_task(desk.project, task)

    assert parse_layout(BLIND).blind
    assert screen.choices() == dict.fromkeys(SHOWN)
    assert "model" not in screen.page.locator(".vrt").inner_text().lower()
    assert screen.page.locator(".lsf-minimap__connection").count() == 0
    assert screen.page.locator(".vrt textarea:visible").count() == 0

    screen.choose("TA", "Video 1")
    screen.card("TA").locator("textarea").wait_for()
    assert screen.page.locator(".vrt textarea:visible").count() == 1
    screen.picture("blind")
    for dimension in ("VQ", "MQ", "OA"):
        screen.choose(dimension, "Video 1")
    screen.card("TA").locator("textarea").fill("It shows the plane.")
    screen.submitted(screen.page.get_by_role("button", name="Submit"))

    (annotation,) = desk.annotations(task)
    assert annotation["parent_prediction"] is None
    assert rationales_of(parse_layout(BLIND), annotation["result"]) == {Dimension.TA: "It shows the plane."}


def test_the_minimal_screen_is_prefilled_and_asks_for_choices_only(
    label_studio: LabelStudioHandle, screen: Screen
) -> None:
    desk = Desk(label_studio, MINIMAL)
    task = desk.predicted()
    screen.open_task(desk.project, task)

    assert screen.choices() == SHOWN
    assert screen.page.locator(".vrt textarea, .vrt [data-testid=htx-textbox-content]").count() == 0
    screen.picture("minimal")
    screen.submitted("Control+Enter")
    assert desk.labels(desk.annotations(task)[0]) == PREFERRED


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1440, 900), (1920, 1080)])
def test_everything_to_decide_by_is_in_view_from_1366_to_1920_pixels(
    desk: Desk, browser: Browser, width: int, height: int, dark: bool
) -> None:
    task = desk.predicted()
    with Screen.opened(browser, desk.label_studio, width=width, height=height, dark=dark) as screen:
        screen.open_task(desk.project, task)
        screen.jump(1, 52)
        screen.picture(f"{'dark' if dark else 'light'}-{width}")

        assert screen.page.evaluate("document.documentElement.dataset.colorScheme") == ("dark" if dark else "light")
        boxes = [card.locator(".lsf-choices").bounding_box() for card in screen.page.locator(".vrt-card").all()]
        tops = {round(box["y"]) for box in boxes if box}
        players = [screen.player(number).bounding_box() for number in (1, 2)]
        assert len(boxes) == 4
        assert len(tops) == 1
        assert max(tops) + 34 < height - 50
        assert all(player and player["width"] > 500 and player["height"] > 280 for player in players)
        assert screen.page.locator(".lsf-main-content").evaluate("view => view.scrollWidth <= view.clientWidth")
        clipped = "all => all.filter(one => one.scrollWidth > one.parentElement.clientWidth).length"
        assert screen.page.locator(".vrt .ant-radio + span").evaluate_all(clipped) == 0
        assert screen.page.locator(".lsf-sidepanels__wrapper:visible").count() == 0
