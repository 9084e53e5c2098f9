"""The driver of one judgement, and the two protocols it needs from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from backend.reasoning.rollout import begin, conclude, context, step, supply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.reasoning.contract import Contract
    from backend.reasoning.rollout import Rollout
    from backend.types import Clip, Completion, Conversation, Frame, FrameRef, Judgement


class Engine(Protocol):
    """Something that continues a conversation greedily."""

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The assistant's next message.

        Raises:
            EngineError: this conversation cannot be continued; `retryable` says whether it may later.
        """
        ...


class FrameSource(Protocol):
    """Two opened videos on one contract's frame grid."""

    @property
    def clips(self) -> Sequence[Clip]:
        """What is known of Video 1 and Video 2, in this order."""
        ...

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        """One frame for each reference, in the same order; repeated references give the same `Frame` object.

        Raises:
            MediaError: a video has no readable frame.
        """
        ...


def judge(
    engine: Engine,
    source: FrameSource,
    contract: Contract,
    prompt: str,
    *,
    model_version: str,
    force_answer: bool = True,
    observe: Callable[[Rollout], None] = lambda _rollout: None,
) -> Judgement:
    """Hold one conversation to its end. `observe` is told of every state after a reply.

    Raises:
        MediaError: a video has no readable frame.
        EngineError: the engine cannot continue the conversation.
    """
    rollout = begin(contract, prompt, force_answer=force_answer)
    while rollout.stop is None:
        if rollout.wanted:
            rollout = supply(rollout, source.frames(rollout.wanted))
        rollout = step(rollout, engine.complete(context(rollout), max_new_tokens=contract.max_new_tokens))
        observe(rollout)
    return conclude(rollout, model_version=model_version, clips=source.clips)
