"""Whole conversations with a scripted engine, under both contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.errors import EngineUnavailableError, MediaError
from backend.reasoning.contract import VR_THINKER_96, VRTHINKER_128
from backend.reasoning.judge import judge
from backend.types import Completion, Dimension, Frame, FrameRef, StopCondition, Text
from tests.fakes import FakeFrameSource, ScriptedEngine
from tests.unit.reasoning.replies import answer, call, labels, pairs

if TYPE_CHECKING:
    from backend.reasoning.rollout import Rollout
    from backend.types import Conversation, Message, VideoNumber

PROMPT = "A robot rides a unicorn."


def pictures(message: Message) -> list[FrameRef]:
    return [part.ref for part in message.parts if isinstance(part, Frame)]


def seen_pictures(conversation: Conversation) -> list[list[FrameRef]]:
    """The pictures of each user message, in order."""
    return [pictures(message) for message in conversation if message.role == "user"]


def test_a_judgement_tells_the_labels_the_reasons_and_what_was_looked_at() -> None:
    engine = ScriptedEngine(
        [
            f"<Snapshot>A robot.</Snapshot><Think>I need the middle.</Think>{call(64, 65)}",
            f"<Think>Visual Quality: Video 2 flickers at 64.</Think>{answer('1010')}",
        ]
    )
    source = FakeFrameSource()
    judgement = judge(engine, source, VRTHINKER_128, PROMPT, model_version="v1")
    assert judgement.labels == labels("1010")
    assert judgement.verdicts[Dimension.VQ].rationale == "Video 2 flickers at 64."
    assert judgement.verdicts[Dimension.TA].rationale == ""
    assert judgement.reasoning == "Visual Quality: Video 2 flickers at 64."
    assert [frame.ref for frame in judgement.frames[8:]] == pairs(64, 65)
    assert [frame.turn for frame in judgement.frames] == [0] * 8 + [1] * 4
    assert (judgement.model_version, judgement.stop, judgement.forced) == ("v1", StopCondition.ANSWERED, False)
    assert judgement.clips == source.clips
    assert judgement.swapped is None


def test_the_model_sees_the_conversation_grow_by_its_replies_and_their_frames() -> None:
    engine = ScriptedEngine([call(1), "hm", answer("1111")])
    judge(engine, FakeFrameSource(), VRTHINKER_128, PROMPT, model_version="v1")
    assert [[message.role for message in conversation] for conversation in engine.seen] == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
        ["system", "user", "assistant", "user", "assistant", "user"],
    ]
    assert engine.seen[2][:4] == engine.seen[1]
    assert engine.seen[1][2].parts == (Text(call(1)),)
    assert seen_pictures(engine.seen[2])[1:] == [pairs(1), []]


def test_frames_are_asked_for_once_per_request_and_none_after_the_end() -> None:
    source = FakeFrameSource()
    judge(ScriptedEngine([call(1), call(2), answer("1111")]), source, VRTHINKER_128, PROMPT, model_version="v1")
    assert source.asked == [VRTHINKER_128.initial_frames(), tuple(pairs(1)), tuple(pairs(2))]


def test_a_frame_seen_twice_is_the_same_picture() -> None:
    engine = ScriptedEngine([call(16), answer("1111")])
    judge(engine, FakeFrameSource(), VRTHINKER_128, PROMPT, model_version="v1")
    first, again = (message for message in engine.seen[1] if message.role == "user")
    assert first.parts[0] is again.parts[0]


def test_every_state_after_a_reply_is_observed() -> None:
    states: list[Rollout] = []
    engine = ScriptedEngine([call(1), answer("1111")])
    judge(engine, FakeFrameSource(), VRTHINKER_128, PROMPT, model_version="v1", observe=states.append)
    assert [(len(state.turns), state.stop) for state in states] == [(1, None), (2, StopCondition.ANSWERED)]


def test_without_forcing_six_turns_are_the_end() -> None:
    engine = ScriptedEngine([call(slot) for slot in range(6)])
    judgement = judge(engine, FakeFrameSource(), VRTHINKER_128, PROMPT, model_version="v1", force_answer=False)
    assert (judgement.stop, judgement.labels) == (StopCondition.TURN_LIMIT, {})


def test_at_most_2048_new_tokens_are_asked_for_in_a_turn() -> None:
    engine = CountingEngine([answer("1111")])
    judge(engine, FakeFrameSource(), VRTHINKER_128, PROMPT, model_version="v1")
    assert engine.limits == [2048]


@pytest.mark.parametrize("broken", [1, 2])
def test_a_video_without_a_readable_frame_is_an_error_and_never_half_of_the_pictures(broken: VideoNumber) -> None:
    engine = ScriptedEngine([])
    with pytest.raises(MediaError, match=f"Video {broken} has no readable frame"):
        judge(engine, FakeFrameSource(broken=broken), VRTHINKER_128, PROMPT, model_version="v1")
    assert engine.seen == []


def test_an_engine_s_failure_ends_the_judgement() -> None:
    with pytest.raises(EngineUnavailableError, match="down"):
        judge(DeadEngine(), FakeFrameSource(), VRTHINKER_128, PROMPT, model_version="v1")


def test_the_older_contract_end_to_end_addresses_both_videos_and_forgets_old_frames() -> None:
    old = VR_THINKER_96
    engine = ScriptedEngine(
        [
            f"<Recommend Answer>TA=0, VQ=1, MQ=0, OA=1, CF=2</Recommend Answer>{call(1, 48, 49, 96, contract=old)}",
            '<tool_call>{"target_frames": [2, 50]}</tool_call>',
            call(*range(12), contract=old),
            answer("2222"),
        ]
    )
    source = FakeFrameSource(old)
    judgement = judge(engine, source, old, PROMPT, model_version="v1")
    initial = list(old.initial_frames())
    first = [FrameRef(1, 0), FrameRef(1, 47), FrameRef(2, 0), FrameRef(2, 47)]
    second = [FrameRef(1, 1), FrameRef(2, 1)]
    third = [FrameRef(1, slot) for slot in range(8)]
    assert [seen_pictures(conversation) for conversation in engine.seen] == [
        [initial],
        [initial, first],
        [initial, [], second],
        [initial, [], [], third],
    ]
    assert [turn.served for turn in judgement.turns] == [(1, 48, 49, 96), (2, 50), (1, 2, 3, 4, 5, 6, 7, 8), ()]
    assert "Left out: 1" in judgement.turns[2].note
    assert len(judgement.frames) == 8 + 4 + 2 + 8
    assert judgement.labels == labels("2222")


def test_the_older_contract_puts_the_text_before_the_frames_it_returns() -> None:
    engine = ScriptedEngine([call(5, contract=VR_THINKER_96), answer("1111")])
    judge(engine, FakeFrameSource(VR_THINKER_96), VR_THINKER_96, PROMPT, model_version="v1")
    question, returned = (message for message in engine.seen[1] if message.role == "user")
    assert isinstance(question.parts[-1], Text)
    assert f"The prompt is: {PROMPT}" in question.parts[-1].text
    assert returned.parts[0] == Text("\nAfter selecting frames: Here are the selected frames")
    assert pictures(returned) == [FrameRef(1, 4)]


class CountingEngine(ScriptedEngine):
    """A scripted engine that also keeps the token limits it was given."""

    def __init__(self, replies: list[str]) -> None:
        super().__init__(replies)
        self.limits: list[int] = []

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        self.limits.append(max_new_tokens)
        return super().complete(conversation, max_new_tokens=max_new_tokens)


class DeadEngine:
    """A test double: a server that does not answer."""

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        raise EngineUnavailableError(f"the server is down: {len(conversation)} messages, {max_new_tokens} tokens")
