"""What was said about one pair as JSON: what was shown, what was said, what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.types import Dimension, Text
from backend.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.reasoning.rollout import Rollout
    from backend.types import Judgement, Message, Part


def trace_of(conversations: Sequence[Rollout], judgement: Judgement) -> dict[str, Any]:
    """Every conversation (a second one had the videos exchanged) and the judgement that came of it.

    Pictures are told by video, slot, frame index and time.
    """
    return {
        "contract": conversations[0].contract.name,
        "answer": card_answer(judgement),
        "conversations": [[_message(message) for message in rollout.conversation] for rollout in conversations],
        **to_json(judgement),
    }


def card_answer(judgement: Judgement) -> dict[str, int | None]:
    """The model card's result: TA, MQ, VQ, OA with 0, 1 or 2; all None without an answer."""
    return {dimension.value: int(judgement.labels[dimension]) if judgement.labels else None for dimension in Dimension}


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": part.text}
    return {
        "frame": {
            "video": part.ref.video,
            "slot": part.ref.slot,
            "index": part.index,
            "wanted": part.wanted,
            "seconds": part.seconds,
        }
    }
