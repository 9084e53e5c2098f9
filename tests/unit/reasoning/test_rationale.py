"""Reasons are cut out of what the model wrote, dimension by dimension, and never made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reasoning.rationale import overall_rationale, rationale_for, thoughts
from backend.types import Dimension
from tests.unit.reasoning.replies import answer, call

TA, MQ, VQ, OA = Dimension

HEADED = """\
<Snapshot>Visual Quality: a snapshot only describes.</Snapshot>
<Think>
I compare them one by one.

1. **Text Alignment (TA)**: Video 1 shows the robot on a unicorn. Video 2 lacks the rainbow.
2. **Visual Quality (VQ):** Both are sharp; Video 2 flickers.
   It also blurs at the end.
3. Motion Quality (MQ) - Video 1 stutters vs. Video 2, which is smooth.

### Overall Assessment (OA)

Video 1 is better.

Therefore I decide.
</Think>
<Answer>TA=1, VQ=1, MQ=2, OA=1</Answer>"""

INLINE = (
    "<Think>Text Alignment: Both follow the prompt. No gap. Visual Quality: Video 1 is crisp. "
    "Motion Quality: Video 2 is jerky. Overall: Video 1.</Think>"
)

PROSE = (
    "<think>The selected frames confirm that Video 2 has a higher visual quality due to the clearer posture. "
    "The motion quality in Video 2 is good, and its alignment with the caption is consistent. "
    "The overall lighting is warm. Overall, Video 2 is better.</think>"
)

OPENINGS = (
    "<Think>In terms of text alignment, both show a robot. Video 2 has no bridge. For visual quality, "
    "Video 1 is crisp. It has better colors. When it comes to the motion quality, nothing moves. "
    "Overall, Video 1 wins. Therefore TA=1, VQ=1, MQ=0, OA=1.</Think>"
)

BY_VIDEO = """\
<Think>
**Video 1:**
- Text Alignment: all there
- Visual Quality: sharp

**Video 2:**
- Text Alignment: no robot
- Visual Quality: soft

**Conclusion**
Video 1 it is.
</Think>"""

DIVIDED = """\
<Think>
### Visual Quality

**Video 1:**
- sharp

**Video 2:**
- soft

### Camera
Still in both.
</Think>"""

PARAGRAPHS = """\
<Think>
Motion Quality:

Video 1: the legs slide.

Video 2: the legs walk.

That is all.
**Visual Quality and Text Alignment**
Equal in both.
</Think>"""


@pytest.mark.parametrize(
    ("reply", "dimension", "rationale"),
    [
        (HEADED, TA, "Video 1 shows the robot on a unicorn. Video 2 lacks the rainbow."),
        (HEADED, VQ, "Both are sharp; Video 2 flickers.\nIt also blurs at the end."),
        (HEADED, MQ, "Video 1 stutters vs. Video 2, which is smooth."),
        (HEADED, OA, "Video 1 is better."),
        (INLINE, TA, "Both follow the prompt. No gap."),
        (INLINE, VQ, "Video 1 is crisp."),
        (INLINE, MQ, "Video 2 is jerky."),
        (INLINE, OA, "Video 1."),
        (OPENINGS, TA, "In terms of text alignment, both show a robot. Video 2 has no bridge."),
        (OPENINGS, VQ, "For visual quality, Video 1 is crisp. It has better colors."),
        (OPENINGS, MQ, "When it comes to the motion quality, nothing moves."),
        (OPENINGS, OA, "Overall, Video 1 wins."),
        (BY_VIDEO, TA, "**Video 1:**\nall there\n**Video 2:**\nno robot"),
        (BY_VIDEO, VQ, "**Video 1:**\nsharp\n**Video 2:**\nsoft"),
        (BY_VIDEO, MQ, ""),
        (BY_VIDEO, OA, ""),
        (DIVIDED, VQ, "**Video 1:**\n- sharp\n**Video 2:**\n- soft"),
        (PARAGRAPHS, MQ, "Video 1: the legs slide.\nVideo 2: the legs walk."),
        (PARAGRAPHS, VQ, "Equal in both."),
        (PARAGRAPHS, TA, "Equal in both."),
        (PARAGRAPHS, OA, ""),
    ],
)
def test_the_passage_under_a_heading_is_that_dimension_s_reason(
    reply: str, dimension: Dimension, rationale: str
) -> None:
    assert rationale_for(dimension, [reply]) == rationale


@pytest.mark.parametrize(
    ("dimension", "rationale"),
    [
        (VQ, "The selected frames confirm that Video 2 has a higher visual quality due to the clearer posture."),
        (MQ, "The motion quality in Video 2 is good, and its alignment with the caption is consistent."),
        (TA, "The motion quality in Video 2 is good, and its alignment with the caption is consistent."),
        (OA, "Overall, Video 2 is better."),
    ],
)
def test_in_running_prose_the_sentences_that_name_a_dimension_are_its_reason(
    dimension: Dimension, rationale: str
) -> None:
    assert rationale_for(dimension, [PROSE]) == rationale


@pytest.mark.parametrize(
    ("sentence", "about"),
    [
        ("TA favors Video 1.", {TA}),
        ("Video 2 follows the prompt closely.", {TA}),
        ("It is more faithful to the given prompt.", {TA}),
        ("The prompt is about a robot.", set()),
        ("A ta-da moment.", set()),
        ("Movement quality is poor.", {MQ}),
        ("Temporal consistency is better in Video 1.", {MQ}),
        ("The motion blur looks nice.", set()),
        ("The image quality drops.", {VQ}),
        ("MQ and VQ are equal.", {MQ, VQ}),
        ("I weigh text alignment, visual quality and motion quality.", set()),
        ("TA=1, VQ=1, MQ=0, OA=1", set()),
        ("So TA=1 and OA=1.", set()),
        ("TA=1 because the robot is there.", {TA}),
    ],
)
def test_a_sentence_explains_the_dimensions_it_names_but_not_more_than_two(
    sentence: str, about: set[Dimension]
) -> None:
    assert {dimension for dimension in Dimension if rationale_for(dimension, [sentence])} == about


@pytest.mark.parametrize(
    ("sentence", "about"),
    [
        ("Overall, Video 1 is better.", {OA}),
        ("**Overall**, I prefer Video 2.", {OA}),
        ("The overall quality of Video 1 is higher.", {OA}),
        ("Video 1 is better overall.", {OA}),
        ("My overall preference is Video 2.", {OA}),
        ("OA goes to Video 1.", {OA}),
        ("The overall visual quality is close.", {VQ}),
        ("Overall visual quality is close.", {VQ}),
        ("Overall sound quality is not asked for.", set()),
        ("The overall video quality is close.", {OA}),
        ("Overall, the motion quality is better in Video 1.", {MQ}),
        ("Overall, visual quality and motion quality favor Video 1.", {OA}),
        ("The overall assessment weighs text alignment, visual quality and motion quality.", {OA}),
        ("The overall lighting is warm.", set()),
        ("The camera is steady overall.", set()),
        ("He wears overalls.", set()),
        ("Overall color is fine but the overall scene is dull.", {OA}),
    ],
)
def test_the_plain_word_overall_is_not_taken_for_the_overall_assessment(sentence: str, about: set[Dimension]) -> None:
    assert {dimension for dimension in Dimension if rationale_for(dimension, [sentence])} == about


def test_neighbouring_sentences_stay_together_and_others_stand_on_their_own_lines() -> None:
    text = "Visual quality is high. VQ is 1. Nice hat. The visual quality drops later.\n- So VQ is low.\n"
    assert (
        rationale_for(VQ, [text]) == "Visual quality is high. VQ is 1.\nThe visual quality drops later.\nSo VQ is low."
    )


@pytest.mark.parametrize(
    "text",
    ["Video 2 vs. Video 1: the visual quality differs.", "Artifacts, e.g. blur, hurt the visual quality, i.e. VQ."],
)
def test_a_sentence_does_not_end_at_an_abbreviation(text: str) -> None:
    assert rationale_for(VQ, [text]) == text


def test_a_foreign_sentence_ends_the_paragraph_of_an_opening() -> None:
    text = "For visual quality, Video 1 is crisp. Its motion quality is low. The sky is blue."
    assert rationale_for(VQ, [text]) == "For visual quality, Video 1 is crisp."


def test_a_line_between_a_label_and_the_overall_view_ends_the_passage() -> None:
    text = "MQ: Video 1 walks.\nOverall, Video 1 is better.\nGoodbye."
    assert rationale_for(MQ, [text]) == "Video 1 walks."
    assert rationale_for(OA, [text]) == "Overall, Video 1 is better."


def test_the_passage_of_an_opening_ends_with_its_paragraph() -> None:
    text = "For visual quality, Video 1 is crisp.\nThe sky is blue."
    assert rationale_for(VQ, [text]) == "For visual quality, Video 1 is crisp."


def test_an_answer_in_the_same_line_ends_a_passage() -> None:
    text = "VQ: Video 1 is crisp. So TA=1 and VQ=1. Good."
    assert rationale_for(VQ, [text]) == "Video 1 is crisp."


def test_an_opening_that_names_too_many_dimensions_opens_nothing() -> None:
    text = "For text alignment, visual quality and motion quality, see below. Nothing else."
    assert [rationale_for(dimension, [text]) for dimension in Dimension] == ["", "", "", ""]


def test_a_heading_without_words_is_no_reason() -> None:
    assert rationale_for(VQ, ["<Think>Visual Quality:\n\nMotion Quality: smooth</Think>"]) == ""


def test_the_latest_reply_that_says_something_wins() -> None:
    replies = [f"<Think>VQ: unclear.</Think>{call(1)}", f"<Think>VQ: sharp. MQ: low.</Think>{call(2)}", answer("1111")]
    assert rationale_for(VQ, replies) == "sharp."
    assert rationale_for(TA, replies) == ""
    assert overall_rationale(replies) == "VQ: sharp. MQ: low."


@pytest.mark.parametrize(
    ("reply", "reasoning"),
    [
        ("<Think>a</Think>" + answer("1111"), "a"),
        ("<Snapshot>s</Snapshot>b" + call(1), "b"),
        ("<Think>a</Think>\nafter " + answer("1111"), "a\nafter"),
        ("<Think>never closed " + call(3), "never closed"),
        ("<Think>one</Think><Think>two</Think>", "one\ntwo"),
        ("<Think>the final <Answer> must\nwait</Think>" + answer("1111"), "the final \nwait"),
        ("text <Answer>TA=1, MQ=0, VQ", "text"),
        (answer("1111"), ""),
        ("", ""),
    ],
)
def test_reasoning_is_what_is_left_without_snapshots_answers_and_calls(reply: str, reasoning: str) -> None:
    assert thoughts(reply) == reasoning


def test_replies_without_any_reasoning_have_none() -> None:
    assert overall_rationale([answer("1111"), call(1)]) == ""
    assert overall_rationale([]) == ""


PIECES = st.sampled_from(
    [
        *("<Think>", "</Think>", "<Answer>", "</Answer>", "<Snapshot>", "</Snapshot>", "\n", "\n\n", " ", ". ", "; "),
        *("TA: ", "**Visual Quality (VQ)**: ", "### Motion Quality", "Overall", "overall quality", "- ", "1. ", "**"),
        *("Video 1:", "Video 2", "For motion quality, ", "TA=1, VQ=2", "text alignment and ", "Conclusion: ", "e.g. "),
    ]
)
REPLIES = st.lists(PIECES | st.text(max_size=5), max_size=20).map("".join)


@given(REPLIES)
def test_every_line_of_a_rationale_stands_in_the_reply_character_for_character(reply: str) -> None:
    for dimension in Dimension:
        for line in rationale_for(dimension, [reply]).split("\n"):
            assert line in reply
    for line in thoughts(reply).split("\n"):
        assert line in reply


# A hang here is a pattern that has become quadratic: each of these takes a second or two when all are linear.
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "unit",
    [
        *("<think>", "<snapshot>", "<answer>", "*", "- ", "#", " ", "\n", ". ", "1. ", "Text Alignment", "TA "),
        *("TA: ", "TA and ", "Visual Quality / ", "overall ", "**", "(", "Video 1:\n", "match ", "match word word "),
        *("For visual quality, ", "TA=", "matchmatch", "- Visual Quality: x\n", "; ", ".)]", "_ ", "TA\n\n"),
    ],
)
def test_a_reply_that_repeats_itself_endlessly_does_not_hang(unit: str) -> None:
    reply = unit * (200_000 // len(unit)) + "x"
    assert len(rationale_for(VQ, [reply])) <= len(reply)
