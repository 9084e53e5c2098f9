"""The passages of a text that stand under a dimension's heading.

A heading is a label ("2. **Visual Quality (VQ)**: ...", "### Motion Quality") at the start of a line or sentence, or
an opening such as "In terms of motion quality, ...", whose passage lasts to the end of its paragraph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backend.reasoning.naming import MENTIONS, NAMES, dimensions_of, is_answer, sentences
from backend.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "|".join(rf"{dimension}|(?i:{name})" for dimension, name in NAMES.items())
TITLE = rf"(?:{NAME}|(?i:overall))"
EMPHASIS = r"[\s*_`]*+"  # possessive, as below: a long run of spaces must not be tried in every division
LABEL = re.compile(
    rf"{TITLE}(?:\s*+(?:/|&|,|\band\b)\s*+{TITLE})*+\s*+(?:\([^()\n]{{0,40}}\))?"
    rf"{EMPHASIS}(?::|(?<=\s)[–—-]\s|$){EMPHASIS}"
)
OPENING = re.compile(
    rf"(?i:for|regarding|in terms of|as for|on|concerning|when it comes to|with (?:respect|regard) to|considering)"
    rf"\s+(?i:the\s+)?(?:{NAME})\b"
)
MARKER = re.compile(r"[\s#>•–-]*+(?:\*\s++)?(?:\(?\d{1,2}[.)]\s++)?")
EMPHASISED = re.compile(EMPHASIS)
CONTINUED = re.compile(r"\s*+[*•–-]\s|\s{2,}+\S|\W*+video [12][\s*_]*+:", re.IGNORECASE)
VIDEO_HEADING = re.compile(r"[\s#>*_•-]*video [12][\s*_:]*", re.IGNORECASE)
OTHER_HEADING = re.compile(
    r"#{1,6}\s|\*\*[^*]{1,60}\*\*:?$|[A-Z][\w ,'/&()-]{0,40}:$"
    r"|(?i:\W*(?:conclusion|summary|final|verdict|decision|therefore|thus|hence|in conclusion|in summary|based on)\b)"
)


@dataclass(frozen=True, slots=True)
class Heading:
    """What a heading names and where its words end; an opening is part of the passage, a label is not."""

    dimensions: frozenset[Dimension]
    end: int
    labelled: bool


@dataclass(slots=True)
class Passage:
    """What a text says under one heading, as `lines` cut out of it.

    `video` is the heading "Video 1:" that it stands below, if any; `by_video` says that it holds such headings itself.
    """

    dimensions: frozenset[Dimension]
    video: str
    labelled: bool
    by_video: bool = False
    lines: list[str] = field(default_factory=list)

    def ends_at(self, sentence: str) -> bool:
        """Whether a sentence no longer belongs: an answer, the overall view, or another dimension after an opening."""
        about = dimensions_of(sentence)
        foreign = bool(about) and not about & self.dimensions
        return is_answer(sentence) or (foreign and (not self.labelled or about == {Dimension.OA}))


def is_label(sentence: str) -> bool:
    """Whether a sentence is nothing but a label."""
    return LABEL.fullmatch(sentence.strip(" *_`")) is not None


def passages(text: str) -> list[Passage]:
    """The passages of a text, in order; those without words are left out."""
    reader = _Reader()
    for line in text.splitlines():
        reader.read(line)
    return [passage for passage in reader.found if passage.lines]


class _Reader:
    """Reads a text line by line; `current` is the passage that the next line may belong to."""

    def __init__(self) -> None:
        self.found: list[Passage] = []
        self.current: Passage | None = None
        self.video = ""
        self.after_gap = False

    def read(self, line: str) -> None:
        if not line.strip():
            self.after_gap = True
            return
        start = _after(EMPHASISED, line, _after(MARKER, line, 0))
        if VIDEO_HEADING.fullmatch(line):
            self._read_video_heading(line)
        elif OTHER_HEADING.match(line.strip()) and not LABEL.match(line, start):
            self.video, self.current = "", None
        else:
            self._close_before(line)
            self._read_sentences(line, sentences(line, start))
        self.after_gap = False

    def _read_video_heading(self, line: str) -> None:
        """Right below a dimension's label it divides that passage, else it stands above the passages that follow."""
        if self.current and self.current.labelled and (self.current.by_video or not self.current.lines):
            self.current.by_video = True
            self._write(line)
        else:
            self.video, self.current = line.strip(), None

    def _close_before(self, line: str) -> None:
        """End a passage whose paragraph is over."""
        passage = self.current
        if passage is None or not passage.lines:
            return
        if not passage.labelled or (self.after_gap and not CONTINUED.match(line)):
            self.current = None

    def _read_sentences(self, line: str, spans: Sequence[tuple[int, int]]) -> None:
        begin = 0
        for start, end in spans:
            heading = _heading(line, start, end)
            if heading or (self.current and self.current.ends_at(line[start:end])):
                self._write("" if start == spans[0][0] else line[begin:start])  # before the first: only a list marker
                self.current = None
            if heading:
                self.current, begin = Passage(heading.dimensions, self.video, heading.labelled), heading.end
                self.found.append(self.current)
        self._write(line[begin:])

    def _write(self, words: str) -> None:
        if self.current and words.strip():
            self.current.lines.append(words.strip())


def _after(pattern: re.Pattern[str], line: str, start: int) -> int:
    matched = pattern.match(line, start)
    return matched.end() if matched else start


def _heading(line: str, start: int, end: int) -> Heading | None:
    """The heading that a sentence opens with, if any."""
    if label := LABEL.match(line, start, end):
        named = frozenset(dimension for dimension, mention in MENTIONS.items() if mention.search(label[0]))
        return Heading(named or frozenset({Dimension.OA}), label.end(), labelled=True)
    if OPENING.match(line, start, end) and (named := dimensions_of(line[start:end])):
        return Heading(named, start, labelled=False)
    return None
