"""The tagged blocks of a reply, such as <Think>...</Think>, found in one pass.

Tags may be written in any case and with stray spaces. A pattern like `<think>.*?</think>` would take quadratic time on
a reply that opens thousands of tags and closes none, which a looping model does write; the search below is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between an opening tag and the next closing tag of that name.

    `outer` spans the tags too, `inner` only what they hold: places in the text, in characters.
    """

    name: str
    outer: tuple[int, int]
    inner: tuple[int, int]

    def content(self, text: str) -> str:
        """What the block holds; `text` is the reply that it was found in."""
        return text[slice(*self.inner)]


@cache
def tag(*names: str, closing: str = "") -> re.Pattern[str]:
    """Matches an opening tag of these names; the name is group 1. `closing` is "/" for closing tags, "/?" for both."""
    # Possessive, so that many spaces behind a "<" are tried in one way only.
    return re.compile(rf"<\s*+{closing}\s*+({'|'.join(names)})\s*+>", re.IGNORECASE | re.ASCII)


def blocks(text: str, *names: str) -> Iterator[Block]:
    """The closed blocks of these names, from left to right; nothing inside one is looked at again."""
    opening = tag(*names)
    closings = {name: tag(name, closing="/") for name in names}
    position = 0
    while closings and (opened := opening.search(text, position)):
        name, position = opened[1].lower(), opened.end()
        if name not in closings:
            continue
        if closed := closings[name].search(text, position):
            yield Block(name, (opened.start(), closed.end()), (opened.end(), closed.start()))
            position = closed.end()
        else:
            del closings[name]  # no later block of that name can be closed either


def blanked(text: str, *names: str) -> str:
    """The text with spaces instead of its closed blocks of these names: places in it stay what they were."""
    pieces, end = [], 0
    for block in blocks(text, *names):
        start, stop = block.outer
        pieces += [text[end:start], " " * (stop - start)]
        end = stop
    return "".join(pieces) + text[end:]


def outside(text: str, *names: str) -> list[str]:
    """The pieces of text before, between and after its closed blocks of these names."""
    pieces, end = [], 0
    for block in blocks(text, *names):
        pieces.append(text[end : block.outer[0]])
        end = block.outer[1]
    return [*pieces, text[end:]]
