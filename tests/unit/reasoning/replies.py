"""Replies as the checkpoints write them, for tables in tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from backend.reasoning.contract import VRTHINKER_128
from backend.reasoning.reply import parse_reply
from backend.types import Dimension, FrameRef, Malformed, Preference, SelectFrames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.reasoning.contract import Contract
    from backend.types import Labels, Reply


def labels(digits: str) -> Labels:
    """`labels("1020")` are TA=1, MQ=0, VQ=2, OA=0: one digit per dimension in the card's output order."""
    return {dimension: Preference(int(digit)) for dimension, digit in zip(Dimension, digits, strict=True)}


def answer(digits: str) -> str:
    """An answer block that gives these labels."""
    assignments = ", ".join(f"{dimension}={preference:d}" for dimension, preference in labels(digits).items())
    return f"<Answer>{assignments}</Answer>"


def call(*indices: object, contract: Contract = VRTHINKER_128) -> str:
    """A tool call for these frame numbers."""
    arguments = {contract.argument: list(indices)}
    return f"<tool_call>{json.dumps({'name': 'select_frames', 'arguments': arguments})}</tool_call>"


def pairs(*slots: int) -> Sequence[FrameRef]:
    """Video 1 and Video 2 at each slot, in the order in which the model sees them."""
    return [ref for slot in slots for ref in (FrameRef(1, slot), FrameRef(2, slot))]


def parsed(text: str) -> Reply:
    """The reply under the 128-slot contract."""
    return parse_reply(text, VRTHINKER_128)


def problem(text: str, contract: Contract = VRTHINKER_128) -> str:
    """What is wrong with a reply that is expected to be malformed."""
    reply = parse_reply(text, contract)
    assert isinstance(reply, Malformed), reply
    return reply.problem


def request(text: str, contract: Contract = VRTHINKER_128) -> SelectFrames:
    """The request that a reply is expected to be."""
    reply = parse_reply(text, contract)
    assert isinstance(reply, SelectFrames), reply
    return reply
