"""Whatever a model writes is one of three kinds, and reading it takes linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reasoning.contract import CONTRACTS, Contract
from backend.reasoning.reply import parse_reply
from backend.types import Answer, Dimension, Malformed, SelectFrames
from tests.unit.reasoning.replies import answer, call, parsed


# A hang here is a pattern that has become quadratic: each of these takes a second or two when all are linear.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        "<think>",
        "<answer>",
        "<tool_call>",
        "<think><answer>",
        "</answer>",
        "<",
        "< ",
        "<answer>TA=",
        "<answer>TA=1</answer>",
        "<think></think>",
        "TA ",
        "<recommend answer>",
        "<tool_call>{</tool_call>",
        "<tool_call>[",
        "<answer >\n",
    ],
)
@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_a_reply_that_repeats_itself_endlessly_does_not_hang(unit: str, contract: Contract) -> None:
    assert isinstance(parse_reply(unit * (1_000_000 // len(unit)), contract), Malformed)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("beginning", ["<", "</", "<answer", "<answer>", "<answer>TA", "<answer>TA=", "<tool_call>"])
@pytest.mark.parametrize("blank", [" ", "\n"])
def test_blanks_without_end_do_not_hang(beginning: str, blank: str) -> None:
    assert isinstance(parsed(beginning + blank * 1_000_000), Malformed)


PIECES = st.sampled_from(
    [
        "<Think>",
        "</Think>",
        "<Answer>",
        "</Answer>",
        "<tool_call>",
        "</tool_call>",
        "<Snapshot>",
        "</Snapshot>",
        "TA=1",
        "MQ=0, VQ=2",
        "OA=1",
        "TA=2",
        answer("1021"),
        call(1, 2),
        call(-1),
        "[1, 2]",
        '{"name": "select_frames"',
        ", ",
    ]
)
REPLIES = st.lists(PIECES | st.text(max_size=8), max_size=14).map("".join)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
@given(text=REPLIES | st.text())
def test_any_text_is_one_of_three_kinds_and_what_it_promises_holds(contract: Contract, text: str) -> None:
    match parse_reply(text, contract):
        case Answer(given_labels, offsets):
            assert set(given_labels) == set(offsets) == set(Dimension)
            assert {d: text[offsets[d]] for d in Dimension} == {d: str(int(given_labels[d])) for d in Dimension}
        case SelectFrames(indices):
            assert 1 <= len(indices) <= contract.max_indices
            assert all(contract.first_index <= index <= contract.last_index for index in indices)
        case Malformed(said):
            assert said
        case other:
            pytest.fail(f"not a reply: {other!r}")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_in_a_call_is_served_or_refused(value: object) -> None:
    reply = parsed(call(value, 5))
    assert isinstance(reply, SelectFrames)
    assert reply.indices[-1] == 5
