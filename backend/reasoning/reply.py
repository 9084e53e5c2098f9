"""The text of one reply -> `Answer`, `SelectFrames` or `Malformed`; never a guess, never an exception.

Reasoning blocks that are closed (<Think>, <Snapshot>) are not searched for answers, so an example quoted there cannot
win. Nothing here depends on anything but the text and the contract.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from backend.reasoning.markup import blanked, blocks, tag
from backend.types import Answer, Dimension, Malformed, Preference, SelectFrames

if TYPE_CHECKING:
    from backend.reasoning.contract import Contract
    from backend.reasoning.markup import Block
    from backend.types import Reply

REASONING = ("think", "snapshot", "recommend answer")
# The value is a number with nothing of a word or number behind it, in whatever brackets, or else what stands there.
ASSIGNED = r"(?<![A-Za-z0-9])(TA|MQ|VQ|OA)\s*=\s*"  # what stands before an answer's digit
ASSIGNMENT = re.compile(ASSIGNED + r"([0-9]+(?![A-Za-z0-9]|[./-][0-9])|[^\s,;]*)")
QUOTED_CHARACTERS = 12  # of a wrong label, in the message about it

ANSWER_FORM = "<Answer>TA=?, VQ=?, MQ=?, OA=?</Answer>, each 0, 1 or 2"


def parse_reply(text: str, contract: Contract) -> Reply:
    """Read one reply. An answer wins over a tool call beside it, as in the card's loop."""
    visible = blanked(text, *REASONING)
    if answers := list(blocks(visible, "answer")):
        return _agreeing(answers, visible)
    for place in (visible, text):  # a call may stand in the reasoning: acting on it costs little and helps the model
        if calls := list(blocks(place, "tool_call")):
            return _tool_call(calls[0].content(place), contract, extra_calls=len(calls) - 1)
    return Malformed(_what_is_missing(text, visible))


def _agreeing(found: list[Block], text: str) -> Answer | Malformed:
    """The one answer that all answer blocks give, or why there is none."""
    answers = []
    for block in found:
        reading = _answer(block, text)
        if isinstance(reading, Malformed):
            return reading
        answers.append(reading)
    if any(answer.labels != answers[0].labels for answer in answers):
        return Malformed(f"Your answers contradict each other. Give exactly one {ANSWER_FORM}.")
    return answers[-1]


def _answer(block: Block, text: str) -> Answer | Malformed:
    labels: dict[Dimension, Preference] = {}
    offsets: dict[Dimension, int] = {}
    for assignment in ASSIGNMENT.finditer(text, *block.inner):
        dimension, value = Dimension(assignment[1]), assignment[2]
        if value not in {"0", "1", "2"}:
            return Malformed(f"{dimension}={value[:QUOTED_CHARACTERS]} is not a label. Answer as {ANSWER_FORM}.")
        preference = Preference(int(value))
        if labels.setdefault(dimension, preference) != preference:
            return Malformed(f"{dimension} has two different labels. Answer as {ANSWER_FORM}.")
        offsets.setdefault(dimension, assignment.start(2))
    if missing := [dimension.value for dimension in Dimension if dimension not in labels]:
        return Malformed(f"Your answer lacks {', '.join(missing)}. Answer as {ANSWER_FORM}.")
    return Answer({dimension: labels[dimension] for dimension in Dimension}, offsets)


def _tool_call(body: str, contract: Contract, extra_calls: int) -> SelectFrames | Malformed:
    form = f'{{"name": "select_frames", "arguments": {{"{contract.argument}": [...]}}}}'
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        return Malformed(f"Your tool call is not valid JSON. Write it as <tool_call>{form}</tool_call>.")
    if contract.bare_call and isinstance(call, dict) and "name" not in call:
        call = {"name": "select_frames", "arguments": call}
    if not isinstance(call, dict) or call.get("name") != "select_frames":
        return Malformed(f"There is only one tool, select_frames. Call it as <tool_call>{form}</tool_call>.")
    arguments = call.get("arguments")
    indices = arguments.get(contract.argument) if isinstance(arguments, dict) else None
    if not isinstance(indices, list) or not indices:
        return Malformed(f"select_frames needs a list of frame numbers in {contract.argument}: {form}.")
    return _served(indices, contract, extra_calls)


def _served(indices: list[object], contract: Contract, extra_calls: int) -> SelectFrames | Malformed:
    """The indices that can be served, and a note on those that cannot."""
    limits = f"{contract.first_index} to {contract.last_index}"
    valid = [i for i in indices if type(i) is int and contract.first_index <= i <= contract.last_index]
    if not valid:
        return Malformed(f"None of the frame numbers you asked for exists. Use whole numbers from {limits}.")
    notes = []
    if refused := len(indices) - len(valid):
        notes.append(f"Left out: {refused} of your numbers, because frames are whole numbers from {limits}.")
    if len(valid) > contract.max_indices:
        notes.append(f"Only the first {contract.max_indices} were retrieved, the most that one call may ask for.")
    if extra_calls:
        notes.append("Only the first tool call of a reply is served.")
    return SelectFrames(tuple(valid[: contract.max_indices]), " ".join(notes))


def _what_is_missing(text: str, visible: str) -> str:
    if unclosed := tag("answer", "tool_call").search(visible):
        name = unclosed[1].lower()
        return f"Your <{name}> is not closed by </{name}>. Write it again, complete."
    if any(blocks(text, "answer")):
        return f"Your answer stands inside your reasoning. Write it after the reasoning, as {ANSWER_FORM}."
    return f"Your reply holds neither a tool call nor an answer. Call select_frames or answer as {ANSWER_FORM}."
