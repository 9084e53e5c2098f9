"""One pass over a video from its first frame on: every frame is decoded, only wanted ones are taken out.

Where a frame cannot be decoded, the decoder says so and goes on after it. So the first failure is not yet the end, and
the frames behind it must not move up: their presentation times, looked up in the file's own list, say which they are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from backend.frames.capture import LEAST_PATIENCE, Moment, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from backend.frames.capture import Capture, Limits, Pixels
    from backend.frames.landmarks import Numbering

MOST_PATIENCE = 500  # failures in a row after which even a file that claims more frames has ended


class Keep(Protocol):
    """Takes over a decoded frame."""

    def __call__(self, wanted: int, index: int, seconds: float, pixels: Pixels) -> None:
        """Show frame `index`, presented at `seconds`, where frame `wanted` was asked for."""
        ...


class Walk:
    """Iterates over the frames of a freshly opened file: the place of each, and its moment.

    The place is by `numbering` from its time, else how many came before. `gap` says that decoding failed somewhere
    before the last frame.

    Raises:
        UnreadableError: while iterating; the file goes beyond the limits.
    """

    def __init__(self, capture: Capture, limits: Limits, numbering: Numbering | None) -> None:
        """`capture` is at its start."""
        self._capture = capture
        self._limits = limits
        self._numbering = numbering
        self.moments: list[Moment] = []
        self.gap = False

    def __iter__(self) -> Iterator[tuple[int, Moment]]:
        deadline = time.monotonic() + self._limits.seconds
        failures = 0
        while failures <= self._patience():
            self._check(deadline)
            if not self._capture.grab():
                failures += 1
                continue
            self.gap = self.gap or failures > 0
            failures = 0
            moment = Moment(self._capture.seconds, self._capture.intra)
            place = self._numbering(moment.seconds) if self._numbering else len(self.moments)
            self.moments.append(moment)
            if place is not None:
                yield place, moment

    def _patience(self) -> int:
        expected = self._capture.header.frames - len(self.moments)
        return min(max(expected, LEAST_PATIENCE), MOST_PATIENCE)

    def _check(self, deadline: float) -> None:
        if len(self.moments) > self._limits.frames:
            most = f"{self._limits.frames:,}"
            raise UnreadableError(f"has more than {most} frames, the most that are decoded. Cut it shorter.")
        if time.monotonic() > deadline:
            reached = f"{self._limits.seconds:g} s to decode ({len(self.moments):,} frames in)"
            raise UnreadableError(f"takes longer than {reached}. Make it shorter or smaller.")


def sweep(walk: Walk, capture: Capture, wanted: Collection[int], keep: Keep, *, to_end: bool) -> int:
    """Keep the wanted frames; the place after the last frame: the true count, if it goes `to_end`.

    Else it stops behind the last one wanted. A wanted frame that is decoded but unreadable is not kept.
    """
    places = set(wanted)
    last = max(places, default=-1)
    count = 0
    if not to_end and last < 0:
        return count
    for place, moment in walk:
        count = max(count, place + 1)
        if place in places and (pixels := capture.retrieve()) is not None:
            keep(place, place, moment.seconds, pixels)
        if not to_end and place >= last:
            break
    return count


def stand_ins(walk: Walk, capture: Capture, unreadable: Collection[int], keep: Keep) -> None:
    """Keep the nearest readable frame for each unreadable one; the earlier of two equally near.

    Takes every frame out, so it is slow: for the rare file that needs it.
    """
    waiting = sorted(unreadable)
    before: tuple[int, float, Pixels] | None = None
    for place, moment in walk:
        if (pixels := capture.retrieve()) is None:
            continue
        here = (place, moment.seconds, pixels)
        while waiting and waiting[0] <= place:
            wanted = waiting.pop(0)
            keep(wanted, *_nearer(wanted, before, here))
        if not waiting:
            return
        before = here
    if before is not None:
        for wanted in waiting:
            keep(wanted, *before)


def _nearer(
    wanted: int, before: tuple[int, float, Pixels] | None, here: tuple[int, float, Pixels]
) -> tuple[int, float, Pixels]:
    if before is None or here[0] - wanted < wanted - before[0]:
        return here
    return before
