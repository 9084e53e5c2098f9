"""What was found at one link, and how errors become findings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.errors import VRThinkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Finding:
    """One link: whether it holds, what was seen, and what to do where it does not."""

    name: str
    ok: bool
    said: str
    advice: str = ""


def finding(name: str, ok: bool, said: str, advice: str) -> Finding:
    """What was seen; the advice only where it is needed."""
    return Finding(name, ok, said, "" if ok else advice)


def attempt(name: str, look: Callable[[], str], advice: str) -> Finding:
    """What `look` saw, or the error of ours that it met."""
    try:
        return Finding(name, True, look())
    except VRThinkerError as error:
        return Finding(name, False, str(error), advice)


@contextmanager
def caught(name: str, advice: str) -> Iterator[list[Finding]]:
    """An error of ours inside the block becomes the one finding in the list."""
    found: list[Finding] = []
    try:
        yield found
    except VRThinkerError as error:
        found.append(Finding(name, False, str(error), advice))
