"""A request for frames says which are served, and the model hears about the others."""

from __future__ import annotations

import pytest

from backend.reasoning.contract import VR_THINKER_96
from backend.types import SelectFrames
from tests.unit.reasoning.replies import call, problem, request


@pytest.mark.parametrize(
    "text",
    [
        call(10, 30, 60),
        f"<Think>I need more.</Think>\n{call(10, 30, 60)}",
        f"<Think>I call {call(10, 30, 60)} now.</Think>",
        '<tool_call>\n{"name":"select_frames",\n"arguments":{"frame_indices":[10,30,60]}}\n</tool_call>',
        '<Tool_Call>{"name": "select_frames", "id": 7, "arguments": {"frame_indices": [10, 30, 60]}}</Tool_Call>',
    ],
    ids=["bare", "after thinking", "inside thinking", "spaced", "any case"],
)
def test_a_tool_call_asks_for_its_indices_in_order(text: str) -> None:
    assert request(text) == SelectFrames((10, 30, 60))


def test_a_repeated_index_is_served_as_often_as_asked() -> None:
    assert request(call(7, 7)).indices == (7, 7)


@pytest.mark.parametrize(
    "wrong", [-1, 128, 10**400, 3.0, 1.5, "7", True, False, None, [3], {}, float("nan"), float("inf")]
)
def test_an_index_that_is_no_frame_is_left_out_and_the_model_is_told(wrong: object) -> None:
    served = request(call(0, wrong, 127))
    assert served.indices == (0, 127)
    assert served.note == "Left out: 1 of your numbers, because frames are whole numbers from 0 to 127."


def test_a_request_in_which_no_index_is_a_frame_is_malformed() -> None:
    assert "from 0 to 127" in problem(call(-3, 128, "x"))


def test_of_more_than_12_indices_the_first_12_are_served_and_the_model_is_told() -> None:
    served = request(call(*range(20)))
    assert served.indices == tuple(range(12))
    assert served.note == "Only the first 12 were retrieved, the most that one call may ask for."


def test_exactly_12_indices_need_no_note() -> None:
    assert request(call(*range(12))) == SelectFrames(tuple(range(12)))


def test_of_several_tool_calls_the_first_is_served_and_the_model_is_told() -> None:
    served = request(call(1) + call(2) + call(3))
    assert served == SelectFrames((1,), "Only the first tool call of a reply is served.")


def test_several_faults_of_one_call_are_all_named() -> None:
    note = request(call(-1, *range(13)) + call(5)).note
    assert "Left out: 1" in note
    assert "first 12" in note
    assert "first tool call" in note


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "",
        "select_frames(1, 2)",
        '{"name": "select_frames", "arguments": {"frame_indices": [1,]}}',
        "[" * 100_000,
        '{"name": "select_frames", "arguments": {"frame_indices": [1' + "0" * 5000 + "]}}",
    ],
    ids=["cut off", "empty", "python", "trailing comma", "deep nesting", "endless number"],
)
def test_broken_tool_json_is_something_the_model_can_mend(body: str) -> None:
    assert "not valid JSON" in problem(f"<tool_call>{body}</tool_call>")


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "crop_image", "arguments": {"frame_indices": [1]}}',
        '{"name": null, "arguments": {"frame_indices": [1]}}',
        '{"arguments": {"frame_indices": [1]}}',
        '{"frame_indices": [1]}',
        "[1, 2]",
        '"select_frames"',
        "null",
        "NaN",
    ],
)
def test_an_unknown_tool_is_refused_with_the_name_of_the_only_one(body: str) -> None:
    assert "only one tool, select_frames" in problem(f"<tool_call>{body}</tool_call>")


@pytest.mark.parametrize(
    "arguments",
    [
        "{}",
        "null",
        "[1]",
        '{"frame_indices": []}',
        '{"frame_indices": 5}',
        '{"frame_indices": "5"}',
        '{"indices": [5]}',
        '{"target_frames": [5]}',
        '"{\\"frame_indices\\": [5]}"',
    ],
)
def test_a_call_without_a_list_of_indices_is_told_the_argument_s_name(arguments: str) -> None:
    text = f'<tool_call>{{"name": "select_frames", "arguments": {arguments}}}</tool_call>'
    assert "list of frame numbers in frame_indices" in problem(text)


@pytest.mark.parametrize(
    "body",
    ['{"name": "select_frames", "arguments": {"target_frames": [1, 96]}}', '{"target_frames": [1, 96]}'],
    ids=["by name", "arguments only, as its prompt shows"],
)
def test_the_older_contract_takes_a_call_with_and_without_the_tool_s_name(body: str) -> None:
    assert request(f"<tool_call>{body}</tool_call>", VR_THINKER_96) == SelectFrames((1, 96))


def test_the_older_contract_counts_from_1_and_serves_at_most_8() -> None:
    served = request(call(0, *range(1, 10), 97, contract=VR_THINKER_96), VR_THINKER_96)
    assert served.indices == (1, 2, 3, 4, 5, 6, 7, 8)
    assert "Left out: 2" in served.note
    assert "from 1 to 96" in served.note
    assert "first 8" in served.note


def test_the_older_contract_still_refuses_another_tool() -> None:
    text = '<tool_call>{"name": "crop_image", "arguments": {"target_frames": [1]}}</tool_call>'
    assert "only one tool" in problem(text, VR_THINKER_96)
