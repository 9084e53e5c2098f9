"""Tasks in, predictions out, annotations back in: nothing guessed, nothing invented, nothing interpreted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import TaskDataError
from backend.label_studio.convert import (
    labels_of,
    parse_task,
    rationales_of,
    read_labels,
    to_prediction,
    validate_prediction,
)
from backend.label_studio.layout import parse_layout
from backend.reasoning.contract import VR_THINKER_96
from backend.reasoning.swap import merged
from backend.types import Clip, Dimension, PairwiseTask, Preference, StopCondition
from tests.unit.label_studio.configs import DIMENSION_NAMES, FULL, MINIMAL, choices, config
from tests.unit.label_studio.judgements import ASK, CLIPS, DECIDE, ODDS, judged

if TYPE_CHECKING:
    from backend.types import Judgement

LAYOUT = parse_layout(FULL)
DATA = {"video1": "/data/local-files/?d=a.mp4", "video2": "s3://bucket/b.mp4", "prompt": "A cat."}
TASK = PairwiseTask(3, 7, DATA["video1"], DATA["video2"], DATA["prompt"])
MARKUP = '<b onclick="x()">bold</b> <Choices name="ta"><Choice value="Tie"/></Choices> &amp; $video1 {{x}}'


def parsed(raw: dict[str, Any]) -> PairwiseTask:
    return parse_task(LAYOUT, 3, raw)


def item(prediction: dict[str, Any], name: str) -> dict[str, Any]:
    """The one result item of that control."""
    (found,) = [item for item in prediction["result"] if item["from_name"] == name]
    return dict(found)


def text(prediction: dict[str, Any], name: str) -> str:
    """What a text area shows, with plain spaces."""
    (only,) = item(prediction, name)["value"]["text"]
    return str(only).replace("\N{NO-BREAK SPACE}", " ")


def controls(prediction: dict[str, Any]) -> set[str]:
    return {str(item["from_name"]) for item in prediction["result"]}


def saying(judgement: Judgement, dimension: Dimension, rationale: str) -> Judgement:
    """The judgement with other words on one dimension."""
    verdict = replace(judgement.verdicts[dimension], rationale=rationale)
    return replace(judgement, verdicts={**judgement.verdicts, dimension: verdict})


# Tasks


def test_a_task_is_read_from_the_keys_that_the_config_names() -> None:
    layout = parse_layout(config())
    data = {"clip_a": " /data/upload/1/a.mp4 ", "clip_b": "https://x/b.mp4", "caption": " Two cats.\n", "video1": "no"}

    assert parse_task(layout, 3, {"id": 7, "data": data}) == PairwiseTask(
        project=3, task=7, video1="/data/upload/1/a.mp4", video2="https://x/b.mp4", prompt=" Two cats.\n"
    )


def test_nested_keys_are_read_as_label_studio_reads_them() -> None:
    layout = parse_layout(config(prompt='<Text name="p" value="$meta.prompt"/>'))
    data = {"clip_a": "a", "clip_b": "b"}

    assert parse_task(layout, 1, {"id": 1, "data": {**data, "meta": {"prompt": "in"}}}).prompt == "in"
    assert parse_task(layout, 1, {"id": 1, "data": {**data, "meta.prompt": "out", "meta": {}}}).prompt == "out"
    with pytest.raises(TaskDataError, match=r"has no 'meta\.prompt'"):
        parse_task(layout, 1, {"id": 1, "data": {**data, "meta": "text"}})


@pytest.mark.parametrize(
    ("data", "rates"),
    [
        ({}, (24.0, 24.0)),
        ({"fps1": 30, "fps2": 12.5}, (30.0, 12.5)),
        ({"fps1": "25", "fps2": 0.04}, (25.0, 25.0)),
        ({"fps1": "fast", "fps2": 0}, (24.0, 24.0)),
        ({"fps1": -5, "fps2": None}, (24.0, 24.0)),
        ({"fps1": "nan", "fps2": "inf"}, (24.0, 24.0)),
        ({"fps1": [30], "fps2": {"a": 1}}, (24.0, 24.0)),
    ],
)
def test_the_players_rates_are_those_that_label_studio_makes_of_the_data(
    data: dict[str, Any], rates: tuple[float, float]
) -> None:
    assert parsed({"id": 7, "data": {**DATA, **data}}).player_fps == rates


def test_a_rate_written_in_the_config_holds_for_every_task() -> None:
    videos = '<Video name="v1" value="$clip_a" frameRate="30"/><Video name="v2" value="$clip_b" framerate="16"/>'
    layout = parse_layout(config(videos=videos))
    data = {"clip_a": "a", "clip_b": "b", "caption": "c"}

    assert parse_task(layout, 1, {"id": 1, "data": data}).player_fps == (30.0, 16.0)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"data": DATA}, "no whole-number id (it is None)"),
        ({"id": "7", "data": DATA}, "no whole-number id (it is '7')"),
        ({"id": True, "data": DATA}, "no whole-number id (it is True)"),
        ({"id": 7}, "Task 7 has no data object"),
        ({"id": 7, "data": []}, "Task 7 has no data object"),
        ({"id": 7, "data": {}}, "Task 7 has no 'video1', the URL of Video 1. Its data holds: nothing."),
        ({"id": 7, "data": {**DATA, "video2": None}}, "Task 7 has no 'video2', the URL of Video 2"),
        ({"id": 7, "data": {**DATA, "video1": "  "}}, "'video1' is empty"),
        ({"id": 7, "data": {**DATA, "video1": ["a.mp4"]}}, "'video1' must be text, the URL of Video 1; it is list"),
        ({"id": 7, "data": {**DATA, "prompt": ""}}, "'prompt' is empty"),
        ({"id": 7, "data": {**DATA, "prompt": "\n\t "}}, "'prompt' is empty"),
        ({"id": 7, "data": {**DATA, "prompt": 5}}, "'prompt' must be text"),
        ({"id": 7, "data": {"video1": "a", "video2": "b"}}, "Its data holds: video1, video2."),
    ],
)
def test_a_task_that_cannot_be_judged_says_which_key_is_wrong(raw: dict[str, Any], said: str) -> None:
    with pytest.raises(TaskDataError) as caught:
        parsed(raw)

    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


# Predictions


def test_a_prediction_fills_the_whole_screen_and_is_valid_there() -> None:
    judgement = saying(judged(odds=ODDS), Dimension.OA, "Video 2, because it moves.")
    prediction = to_prediction(LAYOUT, judgement, TASK)

    assert validate_prediction(FULL, prediction) == []
    assert (prediction["task"], prediction["model_version"]) == (7, judgement.model_version)
    assert prediction["score"] == pytest.approx(0.58)
    assert controls(prediction) == {
        *DIMENSION_NAMES,
        *(f"{name}_note" for name in DIMENSION_NAMES),
        *(f"{name}_rationale" for name in DIMENSION_NAMES),
        *("reasoning", "trace", "frames1", "frames2"),
    }
    assert labels_of(LAYOUT, prediction["result"]) == judgement.labels


def test_the_same_judgement_gives_the_same_prediction_to_the_letter() -> None:
    one, other = (json.dumps(to_prediction(LAYOUT, judged(odds=ODDS), TASK)) for _ in range(2))

    assert one == other
    assert [item["id"] for item in json.loads(one)["result"]] == [
        item["from_name"] for item in json.loads(one)["result"]
    ]


def test_what_the_model_did_cannot_be_edited_what_it_thinks_can() -> None:
    prediction = to_prediction(LAYOUT, judged(odds=ODDS), TASK)
    locked = {item["from_name"] for item in prediction["result"] if item.get("readonly")}

    assert locked == {"trace", "frames1", "frames2", *(f"{name}_note" for name in DIMENSION_NAMES)}


def test_a_minimal_screen_gets_choices_only() -> None:
    prediction = to_prediction(parse_layout(MINIMAL), judged(odds=ODDS), TASK)

    assert controls(prediction) == set(DIMENSION_NAMES)
    assert validate_prediction(MINIMAL, prediction) == []


def test_a_prediction_speaks_the_words_of_the_projects_own_config() -> None:
    text = config(
        *(choices(name, "B", "Same", "A") for name in ("textAlignment", "motion", "visual", "overall")), names=()
    )
    prediction = to_prediction(parse_layout(text), judged(), 9)

    assert validate_prediction(text, prediction) == []
    assert prediction["task"] == 9
    assert item(prediction, "textAlignment")["value"] == {"choices": ["B"]}
    assert item(prediction, "visual")["value"] == {"choices": ["Same"]}
    assert item(prediction, "visual")["to_name"] == "left"


def test_without_probabilities_there_is_neither_confidence_nor_score() -> None:
    prediction = to_prediction(LAYOUT, judged(), TASK)

    assert prediction["score"] is None
    assert text(prediction, "mq_note").splitlines()[0] == "Model: Video 2"
    assert validate_prediction(FULL, prediction) == []


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.335, "34 %"), (0.994, "99 %"), (0.9996, "over 99 %"), (1.0, "over 99 %")]
)
def test_a_confidence_is_rounded_but_never_to_certainty(confidence: float, said: str) -> None:
    rest = (1 - confidence) / 2
    prediction = to_prediction(LAYOUT, judged(odds={**ODDS, Dimension.MQ: (rest, rest, confidence)}), TASK)

    assert text(prediction, "mq_note").splitlines()[0] == f"Model: Video 2, confidence {said}"


def test_a_note_tells_the_choice_its_confidence_and_where_the_frames_named_are() -> None:
    judgement = saying(judged(odds=ODDS), Dimension.MQ, "It freezes in frames 52 and 68, not in frame 61 or 16.")

    assert text(to_prediction(LAYOUT, judgement, TASK), "mq_note").splitlines() == [
        "Model: Video 2, confidence 97 %",
        "“52” is frame 40, 1.6 s · “68” is frame 52, 2.1 s",
    ]


def test_frames_are_named_in_both_videos_where_they_differ() -> None:
    clips = (Clip(1, 96, 24.0, 64, 64), Clip(2, 60, 12.0, 64, 64))
    judgement = saying(judged(clips=clips), Dimension.MQ, "Frame 60 shows it.")
    note = text(to_prediction(LAYOUT, judgement, TASK), "mq_note")

    assert "“60” is frame 46, 1.9 s of Video 1, frame 57, 2.3 s of Video 2" in note


def test_frames_of_a_contract_that_numbers_them_through_are_named_in_their_video() -> None:
    ask = '<tool_call>{"name": "select_frames", "arguments": {"target_frames": [10, 60]}}</tool_call>'
    judgement = saying(judged(ask, DECIDE, contract=VR_THINKER_96), Dimension.MQ, "See frames 10 and 60.")
    note = text(to_prediction(LAYOUT, judgement, TASK), "mq_note")

    assert "“10” is frame 19, 0.8 s of Video 1 · “60” is frame 23, 0.9 s of Video 2" in note


def test_a_dimension_that_the_model_wrote_nothing_about_says_so_and_stays_empty_for_people() -> None:
    prediction = to_prediction(LAYOUT, saying(judged(), Dimension.VQ, ""), TASK)

    assert "wrote nothing specific" in text(prediction, "vq_note")
    assert "vq_rationale" not in controls(prediction)


def test_without_a_place_for_notes_they_close_the_rationale_and_are_taken_off_again() -> None:
    layout = parse_layout(config('<TextArea name="ta_why" toName="left"/><TextArea name="vq_why" toName="left"/>'))
    judgement = saying(saying(judged(odds=ODDS), Dimension.TA, "Only [2] has a cat."), Dimension.VQ, "")
    prediction = to_prediction(layout, judgement, TASK)

    assert text(prediction, "ta_why") == "Only [2] has a cat.\n\n[Model: Video 2, confidence 71 %]"
    assert text(prediction, "vq_why").startswith("[Model: Tie, confidence 58 %\n")
    assert rationales_of(layout, prediction["result"]) == {Dimension.TA: "Only [2] has a cat."}


def test_a_contradiction_in_the_other_order_is_told_beside_the_choice_and_in_the_trace() -> None:
    second = judged(ASK, DECIDE.replace("MQ=2", "MQ=2").replace("TA=2", "TA=1"), odds=ODDS)
    prediction = to_prediction(LAYOUT, merged(judged(odds=ODDS), second), TASK)

    assert "Order-dependent: with the videos exchanged it chose Video 1." in text(prediction, "mq_note")
    assert "Order-dependent" not in text(prediction, "ta_note")
    assert "judged again with the videos exchanged" in text(prediction, "trace")
    assert text(prediction, "trace").count("── Turn 1 ──") == 2


def test_an_order_dependence_whose_second_look_was_not_kept_is_still_told() -> None:
    judgement = judged()
    verdict = replace(judgement.verdicts[Dimension.TA], order_dependent=True)
    judgement = replace(judgement, verdicts={**judgement.verdicts, Dimension.TA: verdict})

    assert "it chose another." in text(to_prediction(LAYOUT, judgement, TASK), "ta_note")


def test_the_trace_holds_the_whole_conversation() -> None:
    broken = "<tool_call>{oops</tool_call>"
    trace = text(to_prediction(LAYOUT, judged(ASK, broken, DECIDE), TASK), "trace")

    assert ASK in trace
    assert broken in trace
    assert DECIDE in trace
    assert trace.index("── Turn 1 ──") < trace.index(ASK) < trace.index("── Turn 2 ──") < trace.index("── Turn 3 ──")
    assert "Shown of Video 1: frames 13 (0.5 s), 37 (1.5 s), 61 (2.5 s), 85 (3.5 s)" in trace
    assert "Asked for more frames, was shown its numbers 52, 60, 68." in trace
    assert "Was told: Your tool call is not valid JSON." in trace
    assert trace.endswith("Answer: TA Video 2, MQ Video 2, VQ Tie, OA Video 2")


def test_the_trace_says_that_an_answer_was_forced() -> None:
    trace = text(to_prediction(LAYOUT, judged(*[ASK] * 6, DECIDE), TASK), "trace")

    assert "── Turn 7 (asked to answer at once) ──" in trace
    assert "Answer (forced): TA Video 2" in trace


def test_a_video_that_was_not_looked_at_gets_no_marks() -> None:
    judgement = judged()
    judgement = replace(judgement, frames=tuple(frame for frame in judgement.frames if frame.ref.video == 1))

    assert controls(to_prediction(LAYOUT, judgement, TASK)) >= {"frames1"}
    assert "frames2" not in controls(to_prediction(LAYOUT, judgement, TASK))


def test_a_judgement_without_an_answer_has_a_trace_but_is_no_valid_prediction() -> None:
    judgement = judged(*["", *["I cannot say."] * 6])
    prediction = to_prediction(LAYOUT, judgement, TASK)

    assert judgement.stop is not StopCondition.ANSWERED
    assert "(no text)" in text(prediction, "trace")
    assert "Ended without an answer (malformed)." in text(prediction, "trace")
    assert "no choice for TA, MQ, VQ, OA" in validate_prediction(FULL, prediction)


def test_an_unreadable_frame_is_named_with_the_one_that_stands_in() -> None:
    judgement = judged()
    frames = tuple(replace(frame, wanted=frame.index + 1) for frame in judgement.frames[:1]) + judgement.frames[1:]
    trace = text(to_prediction(LAYOUT, replace(judgement, frames=frames), TASK), "trace")

    assert "13 (0.5 s, nearest readable), 37 (1.5 s)" in trace


def test_markup_right_to_left_and_long_texts_pass_unchanged() -> None:
    said = f"{MARKUP}\nקופץ שועל مرحبا 🐼👩‍👧 " + "very long " * 12_000
    judgement = saying(judged(ASK, DECIDE.replace("Taken", f"{said}\nTaken")), Dimension.TA, said)
    prediction = json.loads(json.dumps(to_prediction(LAYOUT, judgement, TASK)))

    assert text(prediction, "ta_rationale") == said
    assert said in text(prediction, "trace")
    assert validate_prediction(FULL, prediction) == []


def test_characters_that_cannot_be_stored_are_replaced_and_line_ends_made_plain() -> None:
    judgement = saying(judged(), Dimension.TA, "a\x00b\ud800c\r\nd\re\tf\x1b[31m")

    assert text(to_prediction(LAYOUT, judgement, TASK), "ta_rationale") == "a\ufffdb\ufffdc\nd\ne\tf\ufffd[31m"


@given(st.text(), st.text(max_size=40))
def test_no_reply_of_a_model_makes_an_invalid_prediction(thought: str, rationale: str) -> None:
    judgement = saying(
        judged(f"{thought}\n<Answer>TA=1, VQ=1, MQ=0, OA=1</Answer>", *[DECIDE] * 6), Dimension.MQ, rationale
    )
    prediction = to_prediction(LAYOUT, judgement, TASK)

    json.dumps(prediction).encode()
    assert validate_prediction(FULL, prediction) == []


# The check before publishing


def test_the_check_finds_what_label_studio_itself_would_let_pass() -> None:
    prediction = to_prediction(LAYOUT, judged(), TASK)
    prediction["result"] = [entry for entry in prediction["result"] if entry["from_name"] != "vq"]
    prediction["result"].append({**item(prediction, "ta"), "value": {"choices": ["Tie"]}})

    problems = validate_prediction(FULL, prediction)

    assert "no choice for TA, VQ" in problems
    assert "the id 'ta' is used twice" in problems
    assert "TA: 2 different choices at once" in problems


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"result": None},
        {"result": ["text"]},
        {"result": [{"from_name": "nobody", "to_name": "video1", "type": "choices", "value": {"choices": ["Tie"]}}]},
        {"result": [{"from_name": "ta", "to_name": "video1", "type": "choices", "value": {"choices": ["Video 9"]}}]},
    ],
)
def test_the_check_puts_every_defect_into_words(broken: dict[str, Any]) -> None:
    problems = validate_prediction(FULL, {"task": 1, "score": 0.5, **broken})

    assert len(problems) > 1
    assert all(isinstance(problem, str) for problem in problems)


@pytest.mark.parametrize("score", [7, -0.1, "high"])
def test_the_check_finds_a_score_out_of_range(score: object) -> None:
    prediction = {**to_prediction(LAYOUT, judged(), TASK), "score": score}

    assert any("Score" in problem for problem in validate_prediction(FULL, prediction))


# Annotations


def choice(name: str, *values: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "video1", "type": "choices", "value": {"choices": list(values)}}


def area(name: str, *texts: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "video1", "type": "textarea", "value": {"text": list(texts)}}


def test_labels_are_read_by_value_whatever_their_origin_says() -> None:
    result = [{**choice("ta", "Video 1"), "origin": "prediction-changed"}, choice("mq", "Tie"), area("ta_note", "x")]

    assert labels_of(LAYOUT, result) == {Dimension.TA: Preference.VIDEO_1, Dimension.MQ: Preference.TIE}


def test_values_that_mean_nothing_or_two_things_are_left_out_and_told() -> None:
    reading = read_labels(LAYOUT, [choice("ta", "Video 3"), choice("mq", "Tie", "Video 1"), choice("vq", "Video 2")])

    assert reading.labels == {Dimension.VQ: Preference.VIDEO_2}
    assert reading.problems == ("TA: 'Video 3' is not one of its choices", "MQ: 2 different choices at once")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"from_name": "ta"},
        {"from_name": "ta", "value": None},
        {"from_name": "ta", "value": {"choices": None}},
        {"from_name": "ta", "value": {"choices": [1, None]}},
        {"from_name": None, "value": {"choices": ["Tie"]}},
    ],
)
def test_broken_items_are_no_labels(entry: dict[str, Any]) -> None:
    assert read_labels(LAYOUT, [entry]).labels == {}


def test_a_choice_that_is_no_text_is_reported() -> None:
    nested = {"from_name": "ta", "value": {"choices": [["Video 1", "slightly"]]}}
    bare = {"from_name": "oa", "value": {"choices": 2}}

    assert read_labels(LAYOUT, [nested, bare]).problems == (
        "TA: ['Video 1', 'slightly'] is not text",
        "OA: 2 is not text",
    )
    assert read_labels(LAYOUT, [nested, bare]).labels == {}


def test_a_bare_string_is_read_as_one_value() -> None:
    assert labels_of(LAYOUT, [{"from_name": "oa", "value": {"choices": "Video 2"}}]) == {
        Dimension.OA: Preference.VIDEO_2
    }


def test_rationales_are_read_with_every_line_and_without_the_empty_ones() -> None:
    result = [
        area("ta_rationale", "One.", "Two."),
        area("mq_rationale", "  "),
        area("vq_rationale", "First"),
        area("vq_rationale", "second"),
        area("ta_note", "Model: Tie"),
        area("comment", "mine"),
    ]

    assert rationales_of(LAYOUT, result) == {Dimension.TA: "One.\nTwo.", Dimension.VQ: "First\nsecond"}


@pytest.mark.parametrize(
    "text", ["See [the cat]", "See [Model: a toy car] on the left", "[Model: Tie", "[Model: Tiefling]"]
)
def test_a_person_may_write_brackets(text: str) -> None:
    assert rationales_of(LAYOUT, [area("ta_rationale", text)]) == {Dimension.TA: text}


@pytest.mark.parametrize(
    "said", ["Model: Tie", "Model: Video 1, confidence 97 %", "Model: Video 2\nOrder-dependent: (so)"]
)
@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ("Good reason\n\n", " But it freezes", "Good reason\nBut it freezes"),
        ("", "\n\nBut it freezes", "But it freezes"),
        ("Good reason\n\n", "\n", "Good reason"),
    ],
)
def test_a_note_is_taken_off_wherever_a_person_wrote_on(said: str, before: str, after: str, left: str) -> None:
    assert rationales_of(LAYOUT, [area("ta_rationale", f"{before}[{said}]{after}")]) == {Dimension.TA: left}


@pytest.mark.timeout(10)  # a hang is a pattern that has become quadratic
@pytest.mark.parametrize("text", ["a" + " " * 1_000_000 + "b", "a" + "[Model: Tie," * 100_000, "a" + "\n[" * 500_000])
def test_a_reason_without_end_is_read_at_once(text: str) -> None:
    assert rationales_of(LAYOUT, [area("ta_rationale", text)]) == {Dimension.TA: text}


def test_a_prediction_gives_back_the_models_own_words() -> None:
    judgement = judged(odds=ODDS, clips=CLIPS)
    expected = {d: v.rationale for d, v in judgement.verdicts.items() if v.rationale}

    assert rationales_of(LAYOUT, to_prediction(LAYOUT, judgement, TASK)["result"]) == expected
