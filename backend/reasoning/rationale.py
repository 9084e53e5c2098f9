"""What the model itself wrote about each dimension, cut out of its replies and never reworded.

The passages under a dimension's heading come first; without one, the sentences that name the dimension. Every line of
a rationale is a piece of the reply, character for character.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from backend.reasoning.markup import blocks, outside, tag
from backend.reasoning.naming import dimensions_of, sentences
from backend.reasoning.passage import MARKER, is_label, passages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.types import Dimension

MACHINE = ("answer", "recommend answer", "tool_call")
UNCLOSED = re.compile(rf"{tag(*MACHINE).pattern}[^\n]*", re.IGNORECASE | re.ASCII)
ANY_TAG = tag("think", "snapshot", *MACHINE, closing="/?")


def thoughts(reply: str) -> str:
    """The reasoning of one reply: all of it but snapshots, answers, tool calls and the tags themselves."""
    inside = [block.content(reply) for block in blocks(reply, "think")]
    pieces = [_prose(piece) for piece in (*inside, *outside(reply, "think"))]
    return "\n".join(piece for piece in pieces if piece)


def overall_rationale(replies: Sequence[str]) -> str:
    """The reasoning of the last reply that holds any."""
    return next((text for reply in reversed(replies) if (text := thoughts(reply))), "")


def rationale_for(dimension: Dimension, replies: Sequence[str]) -> str:
    """What the last reply that writes about this dimension says of it; empty when none does."""
    for reply in reversed(replies):
        text = thoughts(reply)
        if found := _passages(dimension, text) or _sentences(dimension, text):
            return found
    return ""


def _prose(piece: str) -> str:
    without_blocks = "\n".join(outside(piece, "snapshot", *MACHINE))
    return ANY_TAG.sub("\n", UNCLOSED.sub("", without_blocks)).strip()


def _passages(dimension: Dimension, text: str) -> str:
    """This dimension's passages, each below the heading of the video it is about, where there are such headings."""
    lines: list[str] = []
    for video, group in groupby(passages(text), key=lambda passage: passage.video):
        body = [line for passage in group if dimension in passage.dimensions for line in passage.lines]
        lines += [video, *body] if video and body else body
    return "\n".join(lines)


def _sentences(dimension: Dimension, text: str) -> str:
    """The sentences that name this dimension; neighbours stay together, others stand on lines of their own."""
    return "\n".join(run for line in text.splitlines() for run in _runs(dimension, line))


def _runs(dimension: Dimension, line: str) -> Iterator[str]:
    start = MARKER.match(line)
    spans = sentences(line, start.end() if start else 0)
    for explains, group in groupby(spans, key=lambda span: _explains(dimension, line[slice(*span)])):
        if explains:
            run = list(group)
            yield line[run[0][0] : run[-1][1]].strip()


def _explains(dimension: Dimension, sentence: str) -> bool:
    return dimension in dimensions_of(sentence) and not is_label(sentence)
