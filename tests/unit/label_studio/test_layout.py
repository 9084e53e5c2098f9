"""Any project's own names are found by meaning; what is missing or unclear is said, never guessed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from backend.errors import LabelConfigError
from backend.label_studio.layout import Layout, parse_layout
from backend.types import Dimension, Preference
from tests.unit.label_studio.configs import BLIND, DIMENSION_NAMES, FULL, MINIMAL, choices, config

EVERYTHING = set(Dimension)


def problem_in(label_config: str) -> str:
    with pytest.raises(LabelConfigError) as caught:
        parse_layout(label_config)
    return str(caught.value)


def nothing_of_the_model(layout: Layout) -> bool:
    return not any([layout.notes, layout.timelines, layout.overall, layout.trace])


def test_the_full_screen_has_a_place_for_everything() -> None:
    layout = parse_layout(FULL)

    assert set(layout.choices) == set(layout.rationales) == set(layout.notes) == EVERYTHING
    assert layout.overall is not None
    assert layout.trace is not None
    assert {number: line.to_name for number, line in layout.timelines.items()} == {1: "video1", 2: "video2"}
    assert {number: video.key for number, video in layout.videos.items()} == {1: "video1", 2: "video2"}
    assert {number: video.frame_rate for number, video in layout.videos.items()} == {1: "$fps1", 2: "$fps2"}
    assert layout.prompt_key == "prompt"
    assert not layout.blind


def test_the_blind_screen_is_marked_and_shows_nothing_of_the_model() -> None:
    layout = parse_layout(BLIND)

    assert layout.blind
    assert nothing_of_the_model(layout)


def test_the_minimal_screen_has_choices_only() -> None:
    layout = parse_layout(MINIMAL)

    assert set(layout.choices) == EVERYTHING
    assert nothing_of_the_model(layout)
    assert not layout.rationales
    assert not layout.blind


def test_the_three_screens_look_alike() -> None:
    style, *others = (re.findall(r"<Style>.*?</Style>", text, re.DOTALL) for text in (FULL, BLIND, MINIMAL))

    assert len(style) == 1
    assert others == [style, style]


def test_every_key_of_a_screen_does_one_thing() -> None:
    for text in (FULL, BLIND, MINIMAL):
        keys = re.findall(r'hotkey="([^"]+)"', text)
        assert len(keys) >= 12
        assert len(set(keys)) == len(keys)


def test_every_screen_tells_its_keys_on_a_mac_too() -> None:
    for text in (FULL, BLIND, MINIMAL):
        [footer] = re.findall(r'<Header value="(Keys: [^"]+)"', text)
        assert "the digit or letter on a choice" in footer
        assert "Mac: ⌘ for Ctrl, ⌥ for Alt, ⌥+Enter skip" in footer


@pytest.mark.parametrize(
    ("ta", "mq", "vq", "oa"),
    [
        ("ta", "mq", "vq", "oa"),
        ("TA", "MQ", "VQ", "OA"),
        ("text_alignment", "motion_quality", "visual_quality", "overall"),
        ("Text Alignment", "Motion Quality", "Visual Quality", "Overall Assessment"),
        ("textAlignment", "motionQuality", "visualQuality", "overallQuality"),
        ("TAChoice", "MQChoice", "VQChoice", "OAChoice"),
        ("ta-preference", "motion-label", "visual-rating", "overall-winner"),
        ("prompt_alignment", "motion", "video_quality", "overall_preference"),
    ],
)
def test_dimensions_are_known_by_any_usual_name(ta: str, mq: str, vq: str, oa: str) -> None:
    layout = parse_layout(config(names=(ta, mq, vq, oa)))

    assert {dimension: control.name for dimension, control in layout.choices.items()} == {
        Dimension.TA: ta,
        Dimension.MQ: mq,
        Dimension.VQ: vq,
        Dimension.OA: oa,
    }


@pytest.mark.parametrize(
    ("one", "tie", "two"),
    [
        ("Video 1", "Tie", "Video 2"),
        ("A", "Same", "B"),
        ("left", "equal", "right"),
        ("1", "0", "2"),
        ("Video A is better", "No preference", "Video B is better"),
        ("video_1", "draw", "video_2"),
        ("First video", "About the same", "Second video"),
        ("Prefer left", "Both equally good", "Prefer right"),
        ("A is better", "Both good", "B is better"),
        ("Model A", "Tie", "Model B"),
    ],
)
def test_choices_are_known_by_any_usual_wording(one: str, tie: str, two: str) -> None:
    controls = [choices(name, two, one, tie) for name in DIMENSION_NAMES]

    for control in parse_layout(config(*controls, names=())).choices.values():
        assert control.values == {Preference.VIDEO_1: one, Preference.TIE: tie, Preference.VIDEO_2: two}


def test_an_alias_is_what_label_studio_stores_and_both_are_read_back() -> None:
    alias = (
        '<Choices name="ta" toName="left"><Choice value="The left one" alias="1"/>'
        '<Choice value="=" alias="tie"/><Choice value="Right" alias="r"/></Choices>'
    )
    control = parse_layout(config(alias, names=("mq", "vq", "oa"))).choices[Dimension.TA]

    assert control.values == {Preference.VIDEO_1: "1", Preference.TIE: "tie", Preference.VIDEO_2: "r"}
    assert control.meanings["The left one"] == control.meanings["1"] == Preference.VIDEO_1
    assert control.meanings["="] == Preference.TIE


def test_further_answers_and_the_annotators_own_controls_are_left_alone() -> None:
    layout = parse_layout(
        config(
            choices("ta", "Video 1", "Tie", "Video 2", "Cannot tell"),
            '<Choices name="safe" toName="left"><Choice value="yes"/></Choices>',
            '<TextArea name="note" toName="left"/><TextArea name="comment" toName="left"/>',
            '<TextArea name="overall_note" toName="left"/><TextArea name="motion_note" toName="left"/>',
            '<TextArea name="ta_why" toName="left" perRegion="true"/>',
            '<TimelineLabels name="defects" toName="left"><Label value="Flicker"/></TimelineLabels>',
            names=("mq", "vq", "oa"),
        )
    )

    assert "Cannot tell" not in layout.choices[Dimension.TA].meanings
    assert nothing_of_the_model(layout)
    assert not layout.rationales


@pytest.mark.parametrize("further", [("Cannot tell",), ("Both bad",), ("Not a good pair", "A file is broken")])
def test_answers_of_another_kind_are_peoples_own(further: tuple[str, ...]) -> None:
    layout = parse_layout(config(choices("ta", "Video 1", "Tie", "Video 2", *further), names=("mq", "vq", "oa")))

    assert set(layout.choices[Dimension.TA].meanings) == {"Video 1", "Tie", "Video 2"}


@pytest.mark.parametrize(
    "name", ["ta_note", "note_ta", "TA-Note", "ta_confidence", "text_alignment_confidence", "ta_confidence_note"]
)
def test_a_place_for_what_the_model_says_of_its_answer_is_named_so(name: str) -> None:
    layout = parse_layout(config(f'<TextArea name="{name}" toName="left"/>'))

    assert {dimension: control.name for dimension, control in layout.notes.items()} == {Dimension.TA: name}


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        (("video1", "video1"), ("video2", "video2"), ("video1", "video2")),
        (("video2", "video2"), ("video1", "video1"), ("video1", "video2")),
        (("right", "x"), ("left", "y"), ("left", "right")),
        (("x", "clip_b"), ("y", "clip_a"), ("y", "x")),
        (("base", "base"), ("other", "other"), ("base", "other")),
        (("video", "url"), ("video2", "url2"), ("video", "video2")),
    ],
)
def test_the_videos_are_numbered_by_their_names_else_by_their_order(
    first: tuple[str, str], second: tuple[str, str], order: tuple[str, str]
) -> None:
    videos = "".join(f'<Video name="{name}" value="${key}"/>' for name, key in (first, second))
    layout = parse_layout(config(videos=videos))

    assert (layout.videos[1].name, layout.videos[2].name) == order


@pytest.mark.parametrize(
    ("prompt", "key"),
    [
        ('<Text name="a" value="$caption"/>', "caption"),
        ('<Header value="$prompt"/><Header value="Which is better?"/>', "prompt"),
        ('<Text name="hint" value="$hint"/><Text name="t" value="$prompt"/>', "prompt"),
        ('<Text name="hint" value="$hint"/><Text name="prompt" value="$description"/>', "description"),
        ('<HyperText name="p" value="$meta.prompt"/>', "meta.prompt"),
        ('<Text name="p" value="$prompt" valueType="text" encoding="none"/>', "prompt"),
        ('<Text name="hint" value="$hint" valueType="url"/><Text name="t" value="$prompt"/>', "prompt"),
    ],
)
def test_the_prompt_is_the_only_text_or_the_one_named_so(prompt: str, key: str) -> None:
    assert parse_layout(config(prompt=prompt)).prompt_key == key


@pytest.mark.parametrize(
    ("areas", "card", "whole"),
    [
        (("oa_rationale", "overall_rationale"), "oa_rationale", "overall_rationale"),
        (("overall_reasoning", "oa_why"), "oa_why", "overall_reasoning"),
        (("overall_rationale",), "overall_rationale", None),
        (("overall_reason", "reasoning"), "overall_reason", "reasoning"),
        (("rationale",), None, "rationale"),
    ],
)
def test_a_reason_for_the_overall_choice_is_told_from_the_whole_reasoning(
    areas: tuple[str, ...], card: str | None, whole: str | None
) -> None:
    layout = parse_layout(config(*(f'<TextArea name="{name}" toName="left"/>' for name in areas)))

    assert getattr(layout.rationales.get(Dimension.OA), "name", None) == card
    assert getattr(layout.overall, "name", None) == whole


@pytest.mark.parametrize("tag", ["View", "view", "VIEW"])
def test_tag_names_count_in_any_case_as_in_label_studio(tag: str) -> None:
    text = config().replace("View", tag).replace("Choices", "choices").replace("<Choice ", "<choice ")

    assert set(parse_layout(text).choices) == EVERYTHING


def test_a_timeline_label_of_ours_is_found_by_its_meaning() -> None:
    lines = (
        '<TimelineLabels name="t" toName="right"><Label value="Cut"/>'
        '<Label value="Seen by the model" alias="seen"/></TimelineLabels>'
    )
    timelines = parse_layout(config(lines)).timelines

    assert (timelines[2].name, timelines[2].to_name, timelines[2].label) == ("t", "right", "seen")
    assert 1 not in timelines


def test_every_problem_is_named_at_once_with_what_to_add_and_what_was_found() -> None:
    message = problem_in(f'<View><Video name="v" value="$v"/>{choices("ta", "good", "bad")}{choices("colour")}</View>')

    assert "two <Video" in message
    assert "there are 1" in message
    assert 'add <Text name="prompt" value="$prompt"/>' in message
    assert "'ta' lack Video 1, Tie, Video 2" in message
    for missing in ("MQ (motion quality)", "VQ (visual quality)", "OA (overall)"):
        assert f"no choices for {missing}" in message
    assert "Found: Video 'v'; Choices 'ta', 'colour'." in message


@pytest.mark.parametrize(
    ("label_config", "said"),
    [
        ("<View/>", "Found: no videos, texts or choices."),
        (config(choices("text_alignment")), "several choices could be TA (text alignment): 'ta', 'text_alignment'"),
        (config(choices("oa", attributes='choice="multiple"'), names=("ta", "mq", "vq")), "one answer"),
        (config(choices("oa", attributes='perRegion="true"'), names=("ta", "mq", "vq")), "no perRegion"),
        (config(choices("oa", "A", "left", "Tie", "B"), names=("ta", "mq", "vq")), "'left' is not clearly"),
        (
            config(
                '<Choices name="oa" toName="left"><Choice value="A" alias="2"/></Choices>', names=("ta", "mq", "vq")
            ),
            "'A' is not clearly",
        ),
        (config(choices("oa", "A", "B"), names=("ta", "mq", "vq")), "'oa' lack Tie"),
        (
            config(choices("oa", "A is better", "B is better", "Both good", "Both bad"), names=("ta", "mq", "vq")),
            "'Both good' beside 'Both bad' says more than a tie",
        ),
        (
            config(
                choices("oa", "Video 1", "Video 1 slightly", "Tie", "Video 2 slightly", "Video 2"),
                names=("ta", "mq", "vq"),
            ),
            "cannot say 'Video 1 slightly', 'Video 2 slightly'",
        ),
        (config(choices("oa", "0", "1", "2", "3"), names=("ta", "mq", "vq")), "cannot say '3'"),
        (
            config(choices("oa", "A", "A slightly", "Tie", "B slightly", "B"), names=("ta", "mq", "vq")),
            "cannot say 'A slightly', 'B slightly'",
        ),
        (config('<TextArea name="ta_why" toName="left"/><TextArea name="ta_reason" toName="left"/>'), "Rename one"),
        (config('<TextArea name="trace" toName="left"/><TextArea name="full_trace" toName="left"/>'), "Rename one"),
        (
            config(
                '<TimelineLabels name="t" toName="left"><Label value="Seen"/><Label value="Viewed"/></TimelineLabels>'
            ),
            "Keep one",
        ),
        (config(videos='<Video name="v1" value="$a"/><Video name="v1b" value="$a"/>'), "which is Video 1"),
        (config(videos='<Video name="v1" value="$a"/><Video name="x1" value="$b"/>'), "which is Video 1"),
        (config(videos='<Video name="v1" value="$b"/><Video name="v2" value="$a"/>'), "which is Video 1"),
        (config(videos='<Video name="v1" value="a.mp4"/><Video name="v2" value="$b"/>'), "take its file from the task"),
        (config(videos='<Video value="$a"/><Video name="v2" value="$b"/>'), "take its file from the task"),
        (config(videos='<Video name="v1" value="$video-1"/><Video name="v2" value="$b"/>'), "Its value is '$video-1'"),
        (config(videos='<Video name="v1" value="$videos[0]"/><Video name="v2" value="$b"/>'), "letters, digits"),
        (config(prompt='<Header value="Prompt: $prompt"/>'), "'Prompt: $prompt' is not one key of the task alone"),
        (config(prompt='<Text name="p" value="$prompt" valueType="url"/>'), "'p' shows something else"),
        (config(prompt='<HyperText name="p" value="$prompt" valuetype="URL"/>'), "'p' shows something else"),
        (config(prompt='<Text name="p" value="$prompt" encoding="base64"/>'), "'p' shows something else"),
        (config(prompt='<Text name="a" value="$x"/><Text name="b" value="$y"/>'), "which text is the prompt: $x, $y"),
        (config(prompt='<Text name="a" value="Which is better?"/>'), "the prompt is not shown"),
    ],
)
def test_what_is_missing_or_unclear_is_refused_with_its_reason(label_config: str, said: str) -> None:
    assert said in problem_in(label_config)


@pytest.mark.parametrize(
    ("label_config", "said"),
    [
        ("", "not well-formed XML"),
        ("<View", "not well-formed XML"),
        ("just text", "not well-formed XML"),
        ('<!DOCTYPE View [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><View>&b;</View>', "entities, which are refused"),
        ('<!DOCTYPE View SYSTEM "file:///etc/passwd"><View/>', "entities, which are refused"),
        ('<!DOCTYPE View [<!ENTITY x SYSTEM "file:///etc/passwd">]><View>&x;</View>', "entities, which are refused"),
    ],
)
def test_broken_and_hostile_xml_is_refused_in_words(label_config: str, said: str) -> None:
    assert said in problem_in(label_config)


def test_reading_a_config_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from backend.label_studio.convert import parse_task; "
        "from backend.label_studio.layout import parse_layout; "
        "print([name for name in ('label_studio_sdk', 'lxml', 'numpy', 'cv2', 'torch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
