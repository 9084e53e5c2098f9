"""An answer is read only where it is whole and beyond doubt; everything else is told to the model."""

from __future__ import annotations

import pytest

from backend.types import Answer, Dimension
from tests.unit.reasoning.replies import answer, call, labels, parsed, problem


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("<Answer>TA=1, VQ=1, MQ=0, OA=1</Answer>", "1011"),
        ("<answer>TA=2,MQ=2,VQ=2,OA=2</answer>", "2222"),
        ("<ANSWER>\nTA = 0\nMQ = 1\nVQ = 2\nOA = 0\n</ANSWER>", "0120"),
        ("<answer>\nTA = 2, MQ = 0, VQ = 2, OA = 2, CF = 2\n</ answer>", "2022"),
        ("<Answer>**TA=1**, **MQ=0**, **VQ=1**, **OA=1.**</Answer>", "1011"),
        ("<Answer>TA=1; MQ=1; VQ=1; OA=1.</Answer>", "1111"),
        ("<Answer>My labels: TA=1, MQ=1, VQ=1, OA=1, and TA=1 it stays</Answer>", "1111"),
        ("<Answer>(TA=1, VQ=1, MQ=0, OA=1)</Answer>", "1011"),
        ("<Answer>`[TA=1|VQ=1|MQ=0|OA=1]`</Answer>", "1011"),
        ("<Answer>TA=1/VQ=1/MQ=0/OA=1!</Answer>", "1011"),
        ("<Answer>TA=1: Video 1、VQ=1(sharper)，MQ=0<br>OA=1</Answer>", "1011"),
        ("<Answer>_TA=1, VQ=1, MQ=0, OA=1_</Answer>", "1011"),
        (f"<Think>Video 2 flickers.</Think>\n{answer('1021')}<|im_end|>", "1021"),
        (f"<Think>never closed {answer('1021')}", "1021"),
    ],
)
def test_an_answer_is_read_however_it_is_spaced(text: str, digits: str) -> None:
    reply = parsed(text)
    assert isinstance(reply, Answer)
    assert reply.labels == labels(digits)
    assert list(reply.labels) == list(Dimension)
    assert "".join(text[reply.offsets[dimension]] for dimension in Dimension) == digits


@pytest.mark.parametrize("digit", ["3", "9", "12", "1.5", "-1", "01", "1a", "x", "", "１", "²", "١", "1/2", "0" * 400])
def test_a_label_that_is_not_0_1_or_2_is_malformed(digit: str) -> None:
    assert "is not a label" in problem(f"<Answer>TA={digit}, MQ=0, VQ=1, OA=1</Answer>")


def test_ta_12_does_not_read_as_1() -> None:
    assert problem("<Answer>TA=12, MQ=1, VQ=1, OA=1</Answer>").startswith("TA=12 is not a label")


@pytest.mark.parametrize("dimension", list(Dimension))
def test_an_answer_without_one_of_the_dimensions_is_malformed(dimension: Dimension) -> None:
    given = ", ".join(f"{other}=1" for other in Dimension if other != dimension)
    assert f"lacks {dimension}." in problem(f"<Answer>{given}</Answer>")


def test_an_answer_without_any_label_names_all_that_are_missing() -> None:
    assert "lacks TA, MQ, VQ, OA." in problem("<Answer>Video 1 is better.</Answer>")


def test_a_dimension_with_two_labels_is_malformed() -> None:
    assert "TA has two different labels" in problem("<Answer>TA=1, MQ=1, VQ=1, OA=1, TA=2</Answer>")


def test_answers_that_contradict_each_other_are_malformed() -> None:
    assert "contradict" in problem(f"{answer('1111')} or rather {answer('2111')}")


def test_the_same_answer_twice_is_one_answer() -> None:
    reply = parsed(answer("1201") * 2)
    assert isinstance(reply, Answer)
    assert reply.labels == labels("1201")


def test_a_malformed_answer_beside_a_good_one_is_malformed() -> None:
    assert "lacks" in problem(f"{answer('1111')}<Answer>TA=1</Answer>")


@pytest.mark.parametrize("tag", ["Think", "Snapshot", "Recommend Answer"])
def test_an_example_answer_quoted_in_the_reasoning_does_not_win_over_the_real_one(tag: str) -> None:
    reply = parsed(f"<{tag}>Such as {answer('2222')}.</{tag}>{answer('1010')}")
    assert isinstance(reply, Answer)
    assert reply.labels == labels("1010")


def test_an_answer_that_stands_only_inside_the_reasoning_is_asked_for_again() -> None:
    assert "inside your reasoning" in problem(f"<Think>{answer('1111')}</Think>")


def test_a_recommended_answer_is_not_the_answer() -> None:
    assert "neither a tool call nor an answer" in problem(
        "<Recommend Answer>TA=0, VQ=1, MQ=0, OA=1, CF=2</Recommend Answer>"
    )


def test_offsets_stay_true_behind_a_blanked_reasoning() -> None:
    text = f"<Think>ẞİ 😀 {answer('2222')}</Think>\n{answer('0121')}"
    reply = parsed(text)
    assert isinstance(reply, Answer)
    assert [text[place] for place in reply.offsets.values()] == ["0", "1", "2", "1"]


def test_an_answer_wins_over_a_tool_call_beside_it() -> None:
    assert isinstance(parsed(call(1, 2) + answer("1111")), Answer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither a tool call nor an answer"),
        ("Video 1 is better: TA=1, MQ=1, VQ=1, OA=1", "neither a tool call nor an answer"),
        ("</answer>", "neither a tool call nor an answer"),
        ("<Answer>TA=1, MQ=1, VQ=1, OA=1", "<answer> is not closed"),
        ("<tool_call>{}", "<tool_call> is not closed"),
        ("<Think>thinking", "neither a tool call nor an answer"),
    ],
)
def test_a_reply_without_a_complete_block_is_told_what_is_missing(text: str, said: str) -> None:
    assert said in problem(text)


def test_a_problem_quotes_a_wrong_label_only_briefly() -> None:
    assert len(problem(f"<Answer>TA={'9' * 100_000}</Answer>")) < 200
