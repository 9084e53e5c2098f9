"""What the annotation screen says about a judgement, as plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from backend.label_studio.controls import PREFERENCE_TITLES
from backend.reasoning.swap import exchanged
from backend.types import Dimension

if TYPE_CHECKING:
    from backend.label_studio.evidence import Evidence
    from backend.types import Judgement, Turn

NOTHING_SPECIFIC = "The model wrote nothing specific about this; its overall reasoning is below."
MOST_ROUNDED = 0.994
SECOND_LOOK = "══ The same pair judged again with the videos exchanged: Video 1 below is Video 2 on the screen ══"
# A note that had to go into the rationale's own text area, see `with_note`.
# Blanks are taken from their first on and never given back, so that a million of them are gone through once.
NOTE_BLOCK = re.compile(r"(?<!\s)\s*+\[Model: (?:Tie|Video [12])(?:[,\s][^\[\]]*)?\]\s*+")
# Databases refuse NUL, JSON refuses lone surrogates, and other control characters have no picture.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with line ends made plain and characters that cannot be stored or shown replaced."""
    return UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def note(dimension: Dimension, judgement: Judgement, evidence: Evidence) -> str:
    """What stands beside a dimension's choice: the model's own choice, its confidence, and what needs care."""
    verdict = judgement.verdicts[dimension]
    said = f"Model: {PREFERENCE_TITLES[verdict.preference]}"
    if verdict.confidence is not None:
        said += f", confidence {_percent(verdict.confidence)}"
    lines = [said]
    if verdict.order_dependent:
        lines.append(f"Order-dependent: with the videos exchanged it chose {_other_way_round(dimension, judgement)}.")
    if not verdict.rationale:
        lines.append(NOTHING_SPECIFIC)
    if glossary := evidence.glossary(verdict.rationale):
        lines.append(glossary)
    return printable("\n".join(lines))


def _percent(confidence: float) -> str:
    """`97 %`; never 100, because the odds of a token are never quite 1."""
    return "over 99 %" if confidence > MOST_ROUNDED else f"{confidence * 100:.0f} %"


def _other_way_round(dimension: Dimension, judgement: Judgement) -> str:
    """The choice of the second look, in the numbers of the first."""
    second = judgement.swapped.verdicts.get(dimension) if judgement.swapped else None
    return PREFERENCE_TITLES[exchanged(second).preference] if second else "another"


def with_note(rationale: str, said: str) -> str:
    """A rationale and its note in one text, for configs without a text area for notes."""
    return f"{rationale}\n\n[{said.replace('[', '(').replace(']', ')')}]".lstrip()


def without_note(text: str) -> str:
    """What is left of such a text when the note is taken away, wherever people wrote on around it."""
    return NOTE_BLOCK.sub("\n", text).strip()


def trace(judgement: Judgement, evidence: Evidence) -> str:
    """The whole conversation, turn by turn: what was shown, said and asked for; then the second look, if any."""
    parts = [judgement.model_version, *_conversation(judgement, evidence)]
    second = evidence.exchanged()
    if judgement.swapped and second:
        parts += [SECOND_LOOK, *_conversation(judgement.swapped, second)]
    return printable("\n\n".join(parts))


def _conversation(judgement: Judgement, evidence: Evidence) -> list[str]:
    turns = [_turn(number, turn, evidence) for number, turn in enumerate(judgement.turns)]
    return [*turns, _ending(judgement)]


def _turn(number: int, turn: Turn, evidence: Evidence) -> str:
    heading = f"── Turn {number + 1}" + (" (asked to answer at once)" if turn.forced else "") + " ──"
    lines = [heading]
    for video in (1, 2):
        if frames := evidence.shown(number, video):
            lines.append(f"Shown of Video {video}: {evidence.names(frames)}")
    lines += ["", turn.reply.strip() or "(no text)"]
    if turn.outcome == "select_frames" and turn.served:
        lines += ["", f"→ Asked for more frames, was shown its numbers {', '.join(map(str, turn.served))}."]
    if turn.note:
        lines += ["", f"→ Was told: {turn.note}"]
    return "\n".join(lines)


def _ending(judgement: Judgement) -> str:
    if not judgement.verdicts:
        return f"Ended without an answer ({judgement.stop.value})."
    answer = ", ".join(
        f"{dimension} {PREFERENCE_TITLES[judgement.verdicts[dimension].preference]}"
        for dimension in Dimension
        if dimension in judgement.verdicts
    )
    return f"Answer{' (forced)' if judgement.forced else ''}: {answer}"
