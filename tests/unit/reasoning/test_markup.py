"""Tagged blocks are found as a reader would find them, and in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reasoning.markup import blanked, blocks, outside

NAMES = ("think", "answer", "tool_call")
FRAGMENTS = st.sampled_from(
    ["<think>", "</think>", "<Answer>", "</ answer >", "<tool_call>", "</tool_call>", "x", "<", "\n"]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=3), max_size=20).map("".join)


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ("<answer>a</answer>", ["a"]),
        ("<Answer>a</ANSWER>", ["a"]),
        ("< answer >a</ answer >", ["a"]),
        ("<answer>a</answer> <answer>b</answer>", ["a", "b"]),
        ("<answer>first <answer>second</answer> third</answer>", ["first <answer>second"]),
        ("<answer>a</think>b</answer>", ["a</think>b"]),
        ("<answer>never closed", []),
        ("closed only</answer>", []),
        ("<answers>a</answers>", []),
        ("", []),
    ],
)
def test_a_block_runs_from_its_first_opening_tag_to_the_next_closing_one(text: str, contents: list[str]) -> None:
    assert [block.content(text) for block in blocks(text, "answer")] == contents


def test_blocks_of_several_names_come_in_order_and_hide_what_they_hold() -> None:
    text = "<answer>1</answer><think>2<answer>3</answer></think><answer>4</answer>"
    found = [(block.name, block.content(text)) for block in blocks(text, "think", "answer")]
    assert found == [("answer", "1"), ("think", "2<answer>3</answer>"), ("answer", "4")]


def test_an_unclosed_block_does_not_hide_later_ones() -> None:
    text = "<think> <answer>1</answer> <think> <answer>2</answer>"
    assert [block.content(text) for block in blocks(text, "think", "answer")] == ["1", "2"]


def test_blanking_keeps_every_place() -> None:
    assert blanked("a<think>b</think>c", "think") == "a                c"


def test_what_is_outside_are_the_pieces_around_the_blocks() -> None:
    assert outside("a<think>b</think>c<think>d</think>", "think") == ["a", "c", ""]


@given(TEXTS)
def test_blocks_never_overlap_and_lie_inside_the_text(text: str) -> None:
    end = 0
    for block in blocks(text, *NAMES):
        assert end <= block.outer[0] < block.inner[0] <= block.inner[1] < block.outer[1] <= len(text)
        end = block.outer[1]


@given(TEXTS)
def test_blanking_keeps_the_length_and_everything_outside(text: str) -> None:
    hidden = blanked(text, *NAMES)
    assert len(hidden) == len(text)
    assert all(character in {" ", text[place]} for place, character in enumerate(hidden))
    assert "".join(outside(text, *NAMES)).replace(" ", "") == hidden.replace(" ", "")
