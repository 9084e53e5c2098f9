"""A judgement's conversation, replayed through the product's own rollout and ended in the person's labels. Pure.

What was neither written by a person nor by the model for that answer is left out, never made up: `TraceSource`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from backend.reasoning.rollout import begin, context, step, supply
from backend.types import Completion, Dimension

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backend.export.record import Opinion, Record
    from backend.reasoning.contract import Contract
    from backend.types import Conversation, Frame, InspectedFrame, Labels


class TraceSource(StrEnum):
    """Who wrote the reasoning before the person's labels."""

    MODEL = "model"  # the person agreed: the model's own last reply, to the letter
    PERSON = "person"  # every label that the person changed comes with the person's own rationale
    LABELS_ONLY = "labels_only"  # nobody wrote reasoning for these labels: the reply is the answer alone


@dataclass(frozen=True, slots=True)
class Example:
    """A training example: what the model saw, its own last reply, and the reply that ends in the person's labels.

    `prompt` ends with a user message.
    """

    prompt: Conversation
    rejected: str
    chosen: str
    trace_source: TraceSource


def example_of(record: Record, contract: Contract, draw: Callable[[InspectedFrame], Frame]) -> Example | None:
    """The example of a record; None where the person did not label all four dimensions, or `contract` is another one.

    `draw` gives the picture of an inspected frame.
    """
    if len(record.human) < len(Dimension):
        return None
    prompt = _replayed(record, contract, draw)
    if prompt is None:
        return None
    said = record.judgement.turns[-1].reply
    chosen, source = _chosen(record, said)
    return Example(prompt, said, chosen, source)


def _replayed(record: Record, contract: Contract, draw: Callable[[InspectedFrame], Frame]) -> Conversation | None:
    """What the model saw before its last reply, or None where these turns do not come from this contract."""
    judgement = record.judgement
    seen = list(judgement.frames)
    rollout = begin(contract, record.prompt)
    for place, turn in enumerate(judgement.turns):
        if rollout.stop is not None:
            return None
        if rollout.wanted:
            now, seen = seen[: len(rollout.wanted)], seen[len(rollout.wanted) :]
            if tuple(frame.ref for frame in now) != rollout.wanted:
                return None
            rollout = supply(rollout, [draw(frame) for frame in now])
        if place == len(judgement.turns) - 1:
            return context(rollout)
        rollout = step(rollout, Completion(turn.reply, turn.prompt_tokens, turn.completion_tokens))
    return None


def _chosen(record: Record, said: str) -> tuple[str, TraceSource]:
    if record.human == record.model:
        return said, TraceSource.MODEL
    answer = answer_text(record.human)
    opinions = record.opinions
    changed = [d for d, opinion in opinions.items() if opinion.human != opinion.model]
    if all(opinions[d].rationale_edited and opinions[d].human_rationale.strip() for d in changed):
        return f"<Think>{_reasons(opinions)}</Think>\n{answer}", TraceSource.PERSON
    return answer, TraceSource.LABELS_ONLY


def _reasons(opinions: Mapping[Dimension, Opinion]) -> str:
    """The rationales as the person left them, one for each dimension that has any."""
    lines = []
    for dimension, opinion in opinions.items():
        if text := opinion.human_rationale.strip():
            lines.append(text if dimension.value in text else f"{dimension}: {text}")
    return "\n".join(lines)


def answer_text(labels: Labels) -> str:
    """Labels in the form that the contracts ask for."""
    order = (Dimension.TA, Dimension.VQ, Dimension.MQ, Dimension.OA)
    return f"<Answer>{', '.join(f'{d}={labels[d]:d}' for d in order)}</Answer>"
