"""The conversation as a state machine: what is shown, what is asked, when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reasoning.contract import CONTRACTS, VRTHINKER_128, Contract
from backend.reasoning.rollout import Rollout, begin, conclude, step, supply
from backend.types import Completion, DigitOdds, Dimension, Frame, FrameRef, Message, StopCondition, Text
from tests.fakes import FakeFrameSource
from tests.unit.reasoning.replies import answer, call, labels, pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMPT = "A robot rides a unicorn across a rainbow bridge."


def shown(rollout: Rollout, source: FakeFrameSource | None = None) -> Rollout:
    """The rollout with what it wants to see."""
    source = source or FakeFrameSource(rollout.contract)
    return supply(rollout, source.frames(rollout.wanted)) if rollout.wanted else rollout


def started(*, force_answer: bool = True) -> Rollout:
    """A rollout that waits for its first reply."""
    return shown(begin(VRTHINKER_128, PROMPT, force_answer=force_answer))


def after(rollout: Rollout, *replies: str | Completion) -> Rollout:
    """The rollout after these replies, with frames supplied in between but not after the last."""
    for reply in replies:
        completion = reply if isinstance(reply, Completion) else Completion(reply, 0, 0)
        rollout = step(shown(rollout), completion)
    return rollout


def pictures(message: Message) -> list[FrameRef]:
    return [part.ref for part in message.parts if isinstance(part, Frame)]


def words(message: Message) -> str:
    """The text of a message whose pictures, if any, all come before it."""
    *before, last = message.parts
    assert all(isinstance(part, Frame) for part in before)
    assert isinstance(last, Text)
    return last.text


def truncated(text: str) -> Completion:
    return Completion(text, 0, 2048, truncated=True)


def test_a_rollout_begins_with_the_system_prompt_and_waits_for_the_initial_frames() -> None:
    rollout = begin(VRTHINKER_128, PROMPT)
    assert rollout.conversation == (Message("system", (Text(VRTHINKER_128.system),)),)
    assert rollout.wanted == VRTHINKER_128.initial_frames()
    assert rollout.stop is None


def test_the_first_message_is_four_pictures_of_each_video_and_then_the_question() -> None:
    message = started().conversation[-1]
    assert message.role == "user"
    assert pictures(message) == [FrameRef(video, slot) for video in (1, 2) for slot in (16, 48, 80, 112)]
    assert words(message) == VRTHINKER_128.question.format(prompt=PROMPT)


def test_braces_in_the_prompt_are_plain_text() -> None:
    rollout = begin(VRTHINKER_128, "{prompt} {0} {{x}}")
    assert "Prompt: {prompt} {0} {{x}}\n" in rollout.caption


def test_a_request_is_answered_with_pairs_and_then_the_tool_response() -> None:
    message = shown(after(started(), call(60, 3))).conversation[-1]
    assert message.role == "user"
    assert pictures(message) == pairs(60, 3)
    assert words(message) == (
        "<tool_response>Retrieved 2 frame pairs ([60, 3]) symmetrically from both videos.</tool_response>"
    )


def test_of_more_than_12_indices_the_tool_response_tells_which_12_were_retrieved() -> None:
    message = shown(after(started(), call(*range(20)))).conversation[-1]
    assert pictures(message) == pairs(*range(12))
    first, note = words(message).split("\n")
    assert first.startswith("<tool_response>Retrieved 12 frame pairs ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) ")
    assert note == "Only the first 12 were retrieved, the most that one call may ask for."


@pytest.mark.parametrize("wrong", [-1, 128, 2.5, True, "7"])
def test_an_index_out_of_range_or_not_whole_is_not_replaced_by_another_frame(wrong: object) -> None:
    message = shown(after(started(), call(wrong, 9))).conversation[-1]
    assert pictures(message) == pairs(9)
    assert "Retrieved 1 frame pairs ([9])" in words(message)
    assert "Left out: 1 of your numbers" in words(message)


def test_an_unreadable_frame_never_shifts_the_pairing() -> None:
    source = FakeFrameSource(unreadable={FrameRef(1, 60), FrameRef(2, 3)})
    rollout = shown(after(shown(begin(VRTHINKER_128, PROMPT), source), call(60, 3, 90)), source)
    assert pictures(rollout.conversation[-1]) == pairs(60, 3, 90)
    inspected = rollout.frames[-6:]
    assert [frame.ref for frame in inspected] == pairs(60, 3, 90)
    assert [frame.index != frame.wanted for frame in inspected] == [True, False, False, True, False, False]
    assert (inspected[0].wanted, inspected[0].index) == (112, 111)


WANTED = begin(VRTHINKER_128, PROMPT).wanted


@pytest.mark.parametrize(
    "given_refs",
    [WANTED[:-1], WANTED[1:] + WANTED[:1], WANTED[4:] + WANTED[:4], (*WANTED, WANTED[0]), ()],
    ids=["one fewer", "shifted", "videos exchanged", "one more", "none"],
)
def test_other_pictures_than_those_wanted_are_refused(given_refs: Sequence[FrameRef]) -> None:
    frames = FakeFrameSource().frames(given_refs) if given_refs else ()
    with pytest.raises(ValueError, match="wanted the frames"):
        supply(begin(VRTHINKER_128, PROMPT), frames)


@given(st.lists(st.builds(FrameRef, st.sampled_from([1, 2]), st.integers(0, 127)), min_size=1, max_size=24))
def test_only_the_wanted_frames_in_their_order_are_taken(refs: list[FrameRef]) -> None:
    waiting = after(started(), call(5, 9))
    frames = FakeFrameSource().frames(refs)
    if refs == pairs(5, 9):
        assert pictures(supply(waiting, frames).conversation[-1]) == refs
    else:
        with pytest.raises(ValueError, match="wanted the frames"):
            supply(waiting, frames)


def test_frames_that_nobody_wants_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted the frames"):
        supply(started(), ())


def test_a_reply_is_refused_while_frames_are_wanted_and_after_the_end() -> None:
    with pytest.raises(ValueError, match="no reply is expected"):
        step(begin(VRTHINKER_128, PROMPT), Completion(answer("1111"), 0, 0))
    with pytest.raises(ValueError, match="stop=answered"):
        step(after(started(), answer("1111")), Completion(answer("1111"), 0, 0))


def test_an_answer_ends_the_rollout_with_its_labels() -> None:
    rollout = after(started(), "<Think>TA is even.</Think>" + answer("0121"))
    assert rollout.stop is StopCondition.ANSWERED
    assert not rollout.forced
    assert conclude(rollout, model_version="v", clips=()).labels == labels("0121")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("<tool_call>{broken</tool_call>", "not valid JSON"),
        ('<tool_call>{"name": "zoom", "arguments": {}}</tool_call>', "only one tool, select_frames"),
        ("<Answer>TA=3, MQ=1, VQ=1, OA=1</Answer>", "TA=3 is not a label"),
        ("<Answer>TA=1</Answer>", "lacks MQ, VQ, OA"),
        (answer("1111") + answer("2222"), "contradict each other"),
        ("I like both.", "neither a tool call nor an answer"),
    ],
    ids=["broken tool JSON", "unknown tool", "digit 3", "partial answer", "contradiction", "neither"],
)
def test_after_a_malformed_reply_the_model_is_told_and_can_still_answer(reply: str, said: str) -> None:
    rollout = after(started(), reply)
    assert rollout.stop is None
    assert rollout.conversation[-1].role == "user"
    assert said in words(rollout.conversation[-1])
    assert rollout.turns[-1].outcome == "malformed"
    assert after(rollout, answer("1111")).stop is StopCondition.ANSWERED


def test_a_malformed_reply_costs_a_turn() -> None:
    assert after(started(force_answer=False), *["hm"] * 6).stop is StopCondition.MALFORMED


def test_when_the_sixth_turn_ends_without_an_answer_one_more_turn_asks_for_it_and_is_marked_as_forced() -> None:
    rollout = after(started(), *[call(slot) for slot in range(6)])
    assert rollout.stop is None
    assert rollout.wanted == ()
    assert words(rollout.conversation[-1]) == VRTHINKER_128.answer_now
    rollout = after(rollout, answer("2222"))
    judgement = conclude(rollout, model_version="v", clips=())
    assert (judgement.stop, judgement.forced, judgement.labels) == (StopCondition.ANSWERED, True, labels("2222"))
    assert [turn.forced for turn in judgement.turns] == [False] * 6 + [True]


def test_an_answer_in_the_sixth_turn_is_not_forced() -> None:
    rollout = after(started(), *[call(slot) for slot in range(5)], answer("1111"))
    assert (rollout.stop, rollout.forced, len(rollout.turns)) == (StopCondition.ANSWERED, False, 6)


def test_what_the_sixth_turn_asks_for_is_not_served_and_not_recorded_as_served() -> None:
    rollout = after(started(), *[call(slot) for slot in range(6)])
    assert [turn.served for turn in rollout.turns] == [(0,), (1,), (2,), (3,), (4,), ()]
    assert rollout.turns[-1].outcome == "select_frames"
    assert max(frame.turn for frame in rollout.frames) == 5


@pytest.mark.parametrize(
    ("last", "stop"),
    [
        (call(5), StopCondition.TURN_LIMIT),
        ("hm", StopCondition.MALFORMED),
        (truncated("and so on"), StopCondition.TRUNCATED),
        (truncated(call(5)), StopCondition.TURN_LIMIT),
    ],
)
@pytest.mark.parametrize("force_answer", [True, False])
def test_a_rollout_that_never_answers_has_no_labels_and_says_why(
    last: str | Completion, stop: StopCondition, *, force_answer: bool
) -> None:
    turns = 7 if force_answer else 6
    rollout = after(started(force_answer=force_answer), *["hm"] * (turns - 1), last)
    judgement = conclude(rollout, model_version="v", clips=())
    assert (judgement.stop, judgement.labels, judgement.verdicts) == (stop, {}, {})
    assert len(judgement.turns) == turns
    assert judgement.forced is force_answer


def test_a_reply_cut_off_at_the_token_limit_is_told_so() -> None:
    rollout = after(started(), truncated("<Think>and then"))
    assert "cut off at the token limit" in words(rollout.conversation[-1])


@pytest.mark.parametrize(
    ("text", "outcome"), [(answer("1111") + " and", "answer"), (call(4) + " and", "select_frames")]
)
def test_what_a_cut_off_reply_says_completely_counts_as_in_the_card_s_loop(text: str, outcome: str) -> None:
    assert after(started(), truncated(text)).turns[-1].outcome == outcome


def test_a_rollout_that_has_not_stopped_has_no_outcome() -> None:
    with pytest.raises(ValueError, match="has not stopped"):
        conclude(started(), model_version="v", clips=())


def test_the_odds_of_a_digit_are_found_by_its_place_in_the_reply() -> None:
    text = "<Think>TA=2?</Think>" + answer("1020")
    place = text.rindex("TA=1") + 3
    digits = (DigitOdds(10, (0.1, 0.1, 0.8), 0.5), DigitOdds(place, (0.2, 0.7, 0.1), 0.9))
    verdicts = after(started(), Completion(text, 0, 0, digits=digits)).verdicts
    assert verdicts is not None
    assert (verdicts[Dimension.TA].odds, verdicts[Dimension.TA].mass) == ((0.2, 0.7, 0.1), 0.9)
    assert verdicts[Dimension.TA].confidence == 0.7
    assert (verdicts[Dimension.OA].odds, verdicts[Dimension.OA].confidence) == (None, None)


def test_a_turn_records_what_the_engine_counted() -> None:
    completion = Completion(call(7), prompt_tokens=900, completion_tokens=30, cached_tokens=800, seconds=1.5)
    turn = after(started(), completion).turns[0]
    assert (turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens, turn.seconds) == (900, 800, 30, 1.5)
    assert (turn.reply, turn.served, turn.note, turn.forced) == (call(7), (7,), "", False)


REPLIES = st.sampled_from(
    ["", "hm", call(1), call(-1), call(3, 200), "<tool_call>{</tool_call>", "<Answer>TA=1</Answer>", answer("1111")]
)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
@given(replies=st.lists(REPLIES | st.text(), min_size=7, max_size=7), force_answer=st.booleans(), cut=st.booleans())
def test_every_rollout_ends_within_its_turns_whatever_the_replies(
    contract: Contract, replies: list[str], *, force_answer: bool, cut: bool
) -> None:
    rollout = begin(contract, PROMPT, force_answer=force_answer)
    for reply in replies:
        if rollout.stop is not None:
            break
        rollout = after(rollout, Completion(reply, 0, 0, truncated=cut))
    assert rollout.stop is not None
    assert len(rollout.turns) <= contract.max_turns + force_answer
    assert (rollout.stop is StopCondition.ANSWERED) == (rollout.verdicts is not None)
    roles = [message.role for message in rollout.conversation]
    assert roles == (["system"] + ["user", "assistant"] * len(rollout.turns))
