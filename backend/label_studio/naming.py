"""What a name in somebody's labeling config means: `textAlignment`, `TA`, `ta_choice` -> TA; `A is better` -> Video 1.

Names are compared as lists of lower-case words, so spelling, case and separators do not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from backend.types import Dimension, Preference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.types import VideoNumber

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that say what kind of thing a control is, not what it is about.
KIND = _set("choice choices pref preference label rating verdict dimension winner better which model full")
RATIONALE = _set("rationale rationales reason reasons reasoning why explanation justification")
NOTE = _set("confidence certainty note")
EVERYDAY = _set("note")  # annotators write notes too: alone it means ours beside a two-letter name only
TRACE = _set("trace transcript")
INSPECTED = _set("inspected seen viewed looked examined")
PROMPT = _set("prompt caption")


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """A name means this when it holds one of `phrases` whole and no word outside `phrases` and `further`."""

    phrases: tuple[frozenset[str], ...]
    further: frozenset[str] = frozenset()

    def covers(self, words: frozenset[str]) -> bool:
        known = self.further.union(*self.phrases)
        return words <= known and any(phrase <= words for phrase in self.phrases)


def _vocabulary(*phrases: str, further: str = "") -> _Vocabulary:
    return _Vocabulary(tuple(_set(phrase) for phrase in phrases), _set(further))


DIMENSIONS = {
    Dimension.TA: _vocabulary(
        "ta", "text alignment", "textual alignment", "prompt alignment", "alignment", further="video"
    ),
    Dimension.MQ: _vocabulary("mq", "motion", further="quality video"),
    Dimension.VQ: _vocabulary("vq", "visual", "video quality"),
    Dimension.OA: _vocabulary("oa", "overall", further="quality assessment video"),
}
VIDEOS: dict[VideoNumber, frozenset[str]] = {
    1: _set("1 a left first one"),
    2: _set("2 b right second two"),
}
TIE = _set("tie tied 0 zero same equal equally good draw both similar neither no preference difference about the")
CLAIM = "good"  # what a tie says that calls both videos good
FILLER = _set("video clip option model v is the better wins winner prefer preferred side")


class Role(Enum):
    """What a text area is for."""

    RATIONALE = "rationale"
    NOTE = "note"
    TRACE = "trace"


def words_of(name: str) -> tuple[str, ...]:
    """The lower-case words and numbers of a name: `TextAlignment_2` -> text, alignment, 2."""
    return tuple(word.lower() for word in WORD.findall(name))


def dimension_of(words: Iterable[str]) -> Dimension | None:
    """The dimension that these words name; None when they name none."""
    named = frozenset(words) - KIND
    return next((dimension for dimension, known in DIMENSIONS.items() if known.covers(named)), None)


def role_of(words: Iterable[str]) -> tuple[Role, Dimension | None] | None:
    """What a text area with such a name is for, and on which dimension (None: on the whole task).

    None for every other text area: it belongs to the annotators.
    """
    named = frozenset(words) - KIND
    if named & TRACE and named <= TRACE | RATIONALE:
        return Role.TRACE, None
    for role, markers in ((Role.NOTE, NOTE), (Role.RATIONALE, RATIONALE)):
        if named & markers:
            rest = named - markers
            dimension = dimension_of(rest)
            if dimension is not None and (named & markers != EVERYDAY or rest == {dimension.value.lower()}):
                return role, dimension
            if not rest and role is Role.RATIONALE:
                return role, None
    return None


def preference_of(text: str) -> Preference | None:
    """The preference that a choice's text states; None when it states none of the three."""
    words = frozenset(words_of(text))
    if words and words <= TIE and words & (TIE - {"about", "the", "no", "good"}):
        return Preference.TIE
    named = words - FILLER
    for number, names in VIDEOS.items():
        if named and named <= names:
            return Preference(number)
    return None


def grades(texts: Iterable[str]) -> bool:
    """Whether further choices go on with what the three say, as `3` or `A slightly` and `B slightly` do.

    Both videos have to be named, since "a" and "left" alone are everyday words: `A file is broken` grades nothing.
    """
    words = {word for text in texts for word in words_of(text)}
    return any(word.isdecimal() for word in words) or all(words & names for names in VIDEOS.values())


def video_number_of(name: str) -> VideoNumber | None:
    """Which video a name points to: `video_b`, `clip2`, `left`; None when it does not say."""
    words = frozenset(words_of(name))
    numbers = [number for number, names in VIDEOS.items() if words & names]
    return numbers[0] if len(numbers) == 1 else None
