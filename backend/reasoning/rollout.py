"""One conversation with the model as a state machine: values in, values out, no I/O.

`begin` wants the initial frames; `supply` shows frames to the model; `step` takes a reply in and either wants more
frames, asks again, or stops. A `Rollout` with a `stop` never changes again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from backend.reasoning.rationale import overall_rationale, rationale_for
from backend.reasoning.reply import parse_reply
from backend.types import (
    Answer,
    Clip,
    Completion,
    Conversation,
    Dimension,
    Frame,
    FrameRef,
    InspectedFrame,
    Judgement,
    Malformed,
    Message,
    SelectFrames,
    StopCondition,
    Text,
    Turn,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend.reasoning.contract import Contract
    from backend.types import Reply

OUTCOMES: dict[type[Reply], Literal["answer", "select_frames", "malformed"]] = {
    Answer: "answer",
    SelectFrames: "select_frames",
    Malformed: "malformed",
}
CONTROL_TOKEN = re.compile(r"<\|(?=[^|<>]*\|>)")


@dataclass(frozen=True, slots=True)
class Rollout:
    """Everything that has happened in one conversation, and what it waits for.

    Waits for frames while `wanted` is not empty, for a completion while `stop` is None.
    """

    contract: Contract
    force_answer: bool
    conversation: Conversation
    caption: str
    wanted: tuple[FrameRef, ...]
    turns: tuple[Turn, ...] = ()
    frames: tuple[InspectedFrame, ...] = ()
    verdicts: Mapping[Dimension, Verdict] | None = None
    stop: StopCondition | None = None

    @property
    def forced(self) -> bool:
        """Whether the answer was asked for after the last regular turn."""
        return len(self.turns) > self.contract.max_turns


def neutralise(text: str) -> str:
    """Break up the tokenizer's control tokens, so that outside text cannot open a turn or stand for an image.

    Lone surrogates, which JSON can smuggle into a string and no tokenizer takes, become the replacement character.
    """
    encodable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return CONTROL_TOKEN.sub("< |", encodable)


def begin(contract: Contract, prompt: str, *, force_answer: bool = True) -> Rollout:
    """A conversation that waits for the initial frames."""
    return Rollout(
        contract=contract,
        force_answer=force_answer,
        conversation=(Message("system", (Text(contract.system),)),),
        caption=contract.question.format(prompt=neutralise(prompt)),
        wanted=contract.initial_frames(),
    )


def supply(rollout: Rollout, frames: Sequence[Frame]) -> Rollout:
    """Show the wanted frames, in the order wanted, with their caption.

    Raises:
        ValueError: no frames are wanted, or other frames than these; shifted pictures would silently change the meaning
            of every index.
    """
    given = tuple(frame.ref for frame in frames)
    if not rollout.wanted or given != rollout.wanted:
        raise ValueError(f"wanted the frames {rollout.wanted}, got {given}")
    turn = len(rollout.turns)
    caption = Text(rollout.caption)
    first = turn > 0 and rollout.contract.caption_first
    return replace(
        rollout,
        conversation=(*rollout.conversation, Message("user", (caption, *frames) if first else (*frames, caption))),
        caption="",
        wanted=(),
        frames=(
            *rollout.frames,
            *(InspectedFrame(f.ref, f.index, f.wanted, f.seconds, turn) for f in frames),
        ),
    )


def context(rollout: Rollout) -> Conversation:
    """What the model sees next: the whole conversation, less the pictures that left the memory window."""
    window = rollout.contract.memory_window
    if window is None:
        return rollout.conversation
    rounds = [m for m in rollout.conversation if any(isinstance(part, Frame) for part in m.parts)]
    keep = {id(message) for message in rounds[:1] + rounds[1:][max(0, len(rounds) - 1 - window) :]}
    return tuple(
        message if id(message) in keep else replace(message, parts=_words(message)) for message in rollout.conversation
    )


def _words(message: Message) -> tuple[Text, ...]:
    return tuple(part for part in message.parts if isinstance(part, Text))


def step(rollout: Rollout, completion: Completion) -> Rollout:
    """Take one reply in. The only transition that a reply causes.

    Raises:
        ValueError: the rollout has stopped, or waits for frames.
    """
    if rollout.stop is not None or rollout.wanted:
        raise ValueError(f"no reply is expected: stop={rollout.stop}, wanted={rollout.wanted}")
    reply = parse_reply(completion.text, rollout.contract)
    if completion.truncated and isinstance(reply, Malformed):
        reply = Malformed("Your reply was cut off at the token limit. Be brief and finish with an answer.")
    said = replace(
        rollout,
        conversation=(*rollout.conversation, Message("assistant", (Text(neutralise(completion.text)),))),
        turns=(*rollout.turns, _turn(rollout, completion, reply)),
    )
    if isinstance(reply, Answer):
        return replace(said, stop=StopCondition.ANSWERED, verdicts=_verdicts(said, reply, completion))
    if len(said.turns) >= rollout.contract.max_turns:
        return _out_of_turns(said, reply, completion)
    if isinstance(reply, SelectFrames):
        return _request(said, reply)
    return _say(said, neutralise(reply.problem))


def _turn(rollout: Rollout, completion: Completion, reply: Reply) -> Turn:
    more_turns = len(rollout.turns) + 1 < rollout.contract.max_turns
    return Turn(
        reply=completion.text,
        outcome=OUTCOMES[type(reply)],
        note=_note(reply),
        served=reply.indices if isinstance(reply, SelectFrames) and more_turns else (),
        forced=len(rollout.turns) >= rollout.contract.max_turns,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        completion_tokens=completion.completion_tokens,
        seconds=completion.seconds,
    )


def _note(reply: Reply) -> str:
    if isinstance(reply, Malformed):
        return reply.problem
    return reply.note if isinstance(reply, SelectFrames) else ""


def _request(rollout: Rollout, reply: SelectFrames) -> Rollout:
    served = rollout.contract.tool_response.format(count=len(reply.indices), indices=list(reply.indices))
    return replace(
        rollout,
        wanted=rollout.contract.frames_for(reply.indices),
        caption=f"{served}\n{reply.note}" if reply.note else served,
    )


def _out_of_turns(rollout: Rollout, reply: SelectFrames | Malformed, completion: Completion) -> Rollout:
    if rollout.force_answer and not rollout.forced:
        return _say(rollout, rollout.contract.answer_now)
    if isinstance(reply, SelectFrames):
        return replace(rollout, stop=StopCondition.TURN_LIMIT)
    return replace(rollout, stop=StopCondition.TRUNCATED if completion.truncated else StopCondition.MALFORMED)


def _say(rollout: Rollout, text: str) -> Rollout:
    return replace(rollout, conversation=(*rollout.conversation, Message("user", (Text(text),))))


def _verdicts(rollout: Rollout, answer: Answer, completion: Completion) -> dict[Dimension, Verdict]:
    odds = {digit.offset: digit for digit in completion.digits}
    replies = [turn.reply for turn in rollout.turns]
    verdicts = {}
    for dimension in Dimension:
        digit = odds.get(answer.offsets[dimension])
        verdicts[dimension] = Verdict(
            preference=answer.labels[dimension],
            odds=digit.odds if digit else None,
            mass=digit.mass if digit else None,
            rationale=rationale_for(dimension, replies),
        )
    return verdicts


def conclude(rollout: Rollout, *, model_version: str, clips: Sequence[Clip]) -> Judgement:
    """The outcome of a rollout that has stopped.

    Raises:
        ValueError: the rollout has not stopped.
    """
    if rollout.stop is None:
        raise ValueError("the rollout has not stopped yet")
    return Judgement(
        model_version=model_version,
        verdicts=rollout.verdicts or {},
        reasoning=overall_rationale([turn.reply for turn in rollout.turns]),
        stop=rollout.stop,
        forced=rollout.forced,
        turns=rollout.turns,
        frames=rollout.frames,
        clips=tuple(clips),
        memory_window=rollout.contract.memory_window,
    )
