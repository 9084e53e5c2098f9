"""Which pictures stay in the context when a contract forgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.rollout import Rollout, begin, context, step, supply
from backend.types import Completion, Frame
from tests.fakes import FakeFrameSource
from tests.unit.reasoning.replies import call


def rollout_with(window: int | None) -> Rollout:
    """Three requests of one index each, one malformed reply between them, all frames supplied."""
    contract = replace(VRTHINKER_128, memory_window=window)
    source = FakeFrameSource()
    rollout = begin(contract, "a cat")
    for reply in (call(1), "hm", call(2), call(3)):
        rollout = supply(rollout, source.frames(rollout.wanted)) if rollout.wanted else rollout
        rollout = step(rollout, Completion(reply, 0, 0))
    return supply(rollout, source.frames(rollout.wanted))


@pytest.mark.parametrize(
    ("window", "counts"),
    [(None, [8, 2, 0, 2, 2]), (3, [8, 2, 0, 2, 2]), (2, [8, 0, 0, 2, 2]), (1, [8, 0, 0, 0, 2]), (0, [8, 0, 0, 0, 0])],
)
def test_the_initial_frames_and_the_newest_rounds_stay(window: int | None, counts: list[int]) -> None:
    shown = [message for message in context(rollout_with(window)) if message.role == "user"]
    assert [sum(isinstance(part, Frame) for part in message.parts) for message in shown] == counts


def test_forgetting_drops_pictures_only_and_leaves_the_record_whole() -> None:
    rollout = rollout_with(0)
    for seen, said in zip(context(rollout), rollout.conversation, strict=True):
        assert seen.role == said.role
        assert [part for part in said.parts if not isinstance(part, Frame)] == [
            part for part in seen.parts if not isinstance(part, Frame)
        ]
    assert len(rollout.frames) == 8 + 3 * 2


def test_without_a_window_the_context_is_the_conversation_itself() -> None:
    rollout = rollout_with(None)
    assert context(rollout) is rollout.conversation
