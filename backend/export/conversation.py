"""A judgement's conversation, replayed through the product's own rollout and ended in the person's labels. Pure.

What was neither written by a person nor by the model for that answer is left out, never made up: `TraceSource`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from backend.reasoning.contract import CONTRACTS
from backend.reasoning.naming import dimensions_of
from backend.reasoning.reply import parse_reply
from backend.reasoning.rollout import begin, context, neutralise, step, supply
from backend.types import Answer, Completion, Dimension

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backend.export.record import Opinion, Record
    from backend.reasoning.contract import Contract
    from backend.reasoning.rollout import Rollout
    from backend.types import Conversation, Frame, InspectedFrame, Judgement, Labels, Turn

MARKUP = re.compile(r"<(?=\s*/?\s*(?:think|snapshot|answer|recommend answer|tool_call)\s*>)", re.IGNORECASE)


class TraceSource(StrEnum):
    """Who wrote the reasoning before the person's labels."""

    MODEL = "model"  # the person agreed: the model's own last reply, to the letter
    PERSON = "person"  # every label that the person changed comes with the person's own rationale
    LABELS_ONLY = "labels_only"  # nobody wrote reasoning for these labels: the reply is the answer alone


class Unfit(StrEnum):
    """Why a record makes no training example."""

    LABELS_MISSING = "labels_missing"  # the person did not label all four dimensions
    OTHER_CONTRACT = "other_contract"  # the conversation cannot be replayed word for word by this program


@dataclass(frozen=True, slots=True)
class Example:
    """A training example: what the model saw, the reply that ends in the person's labels, and the model's beside it.

    `prompt` ends with a user message. `rejected` is the model's own last reply; where `chosen` is labels alone, it is
    the model's labels alone, or a preference of one to the other would above all be one for saying nothing.
    """

    prompt: Conversation
    rejected: str
    chosen: str
    trace_source: TraceSource


def contract_for(judgement: Judgement) -> Contract | None:
    """The contract that a judgement's version names, with the window it was judged with; None: not known."""
    for contract in CONTRACTS.values():
        if re.search(rf"\.{re.escape(contract.name)}v{contract.version}(?:\.|$)", judgement.model_version):
            return replace(contract, memory_window=judgement.memory_window)
    return None


def example_of(record: Record, contract: Contract | None, draw: Callable[[InspectedFrame], Frame]) -> Example | Unfit:
    """The example of a record, asked as `contract` says (None: nobody knows how); `draw` gives a frame's picture."""
    if len(record.human) < len(Dimension):
        return Unfit.LABELS_MISSING
    prompt = _replayed(record, contract, draw) if contract else None
    if prompt is None or contract is None:
        return Unfit.OTHER_CONTRACT
    said = neutralise(record.judgement.turns[-1].reply)
    chosen, source = _chosen(record, said, contract)
    bare = source is TraceSource.LABELS_ONLY and len(record.model) == len(Dimension)
    return Example(prompt, answer_text(record.model) if bare else said, chosen, source)


def source_of(record: Record, contract: Contract | None) -> TraceSource | Unfit:
    """Who would write the reasons in an example of this record, without replaying the conversation for it."""
    if len(record.human) < len(Dimension):
        return Unfit.LABELS_MISSING
    if contract is None or not record.judgement.turns:
        return Unfit.OTHER_CONTRACT
    return _chosen(record, neutralise(record.judgement.turns[-1].reply), contract)[1]


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
            # Not stepped: working out the verdicts again would take longer than all the rest.
            return context(rollout) if isinstance(parse_reply(turn.reply, contract), Answer) else None
        after = _stepped(rollout, turn)
        if after is None:
            return None
        rollout = after
    return None


def _stepped(rollout: Rollout, turn: Turn) -> Rollout | None:
    """The rollout after this turn's reply; None where another thing came of it at the time."""
    for truncated in (False, True):  # which of the two it was only the note tells
        after = step(rollout, Completion(turn.reply, turn.prompt_tokens, turn.completion_tokens, truncated=truncated))
        again = after.turns[-1]
        if (again.outcome, again.note, again.served) == (turn.outcome, turn.note, turn.served):
            return after
    return None


def _chosen(record: Record, said: str, contract: Contract) -> tuple[str, TraceSource]:
    """The reply that ends in the person's labels, and who wrote its reasons."""
    opinions = record.opinions
    changed = [opinion for opinion in opinions.values() if opinion.human != opinion.model]
    edited = any(opinion.rationale_edited and opinion.human_rationale.strip() for opinion in opinions.values())
    answer = answer_text(record.human)
    if edited and all(opinion.rationale_edited and opinion.human_rationale.strip() for opinion in changed):
        reply = f"<Think>{_reasons(opinions)}</Think>\n{answer}"
        if _says(reply, record.human, contract):
            return reply, TraceSource.PERSON
    if not changed and _says(said, record.human, contract):
        return said, TraceSource.MODEL
    return answer, TraceSource.LABELS_ONLY


def _says(reply: str, labels: Labels, contract: Contract) -> bool:
    """Whether the product itself would read these labels out of the reply."""
    read = parse_reply(reply, contract)
    return isinstance(read, Answer) and dict(read.labels) == dict(labels)


def _reasons(opinions: Mapping[Dimension, Opinion]) -> str:
    """The rationales as the person left them, one for each dimension that has any; nothing in them acts as markup."""
    lines = []
    for dimension, opinion in opinions.items():
        if text := neutralise(MARKUP.sub("< ", opinion.human_rationale)).strip():
            first = text.partition("\n")[0]
            lines.append(text if dimension in dimensions_of(first) else f"{dimension}: {text}")
    return "\n".join(lines)


def answer_text(labels: Labels) -> str:
    """Labels in the form that the contracts ask for."""
    order = (Dimension.TA, Dimension.VQ, Dimension.MQ, Dimension.OA)
    return f"<Answer>{', '.join(f'{d}={labels[d]:d}' for d in order)}</Answer>"
