"""Where the frames of a file are in time, and from which of them decoding can start."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.frames.capture import Moment

# OpenCV seeks to 16 frames ahead of its goal, or the key frame before that where the file has an index, then decodes up
# to the goal. A goal this far behind a key frame therefore makes it start at just that key frame; two frames more than
# those 16, because where the frame rate varies one may be lost to rounding, and then it starts a key frame earlier.
RUN_UP = 18
SEEK_COST = 6  # frames that could be decoded in the time that one seek takes besides
WORTH_SEEKING = 25  # frames per wanted frame in a file, below which no seek can pay
OFF_BEAT = 0.1  # of a frame: how far from its beat a frame of a constant rate may be, where times are rounded
TICKS = 10_000  # per second: presentation times are compared this finely


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The presentation times of all frames in order, in ticks, and which of them are key frames.

    `decoded` says that they come from decoding the file once, not from its list of coded pictures: then they are true.
    `indexed` says that seeks start at key frames; where they do not, a key frame has to be met first.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    decoded: bool
    indexed: bool

    @classmethod
    def of(cls, frames: Sequence[Moment], *, decoded: bool, indexed: bool = True) -> Landmarks | None:
        """None where times repeat or a list does not begin with a key frame: then they prove nothing."""
        times = sorted(_ticks(frame.seconds) for frame in frames)
        if not frames or any(earlier == later for earlier, later in pairwise(times)):
            return None
        if not decoded and (not frames[0].key or _ticks(frames[0].seconds) != times[0]):
            return None
        number = {time: index for index, time in enumerate(times)}
        keys = sorted(number[_ticks(frame.seconds)] for frame in frames if frame.key)
        return cls(tuple(times), tuple(keys), decoded, indexed)

    def place(self, seconds: float) -> int | None:
        """The number of the frame presented at this time; None if there is none."""
        time = _ticks(seconds)
        index = bisect_left(self.times, time)
        return index if index < len(self.times) and self.times[index] == time else None

    def entry(self, index: int) -> int | None:
        """The key frame from which a seek gets to frame `index`; None if only the start of the file does."""
        place = bisect_right(self.keys, index - self._behind)
        return self.keys[place - 1] if place else None

    def goal(self, entry: int, fps: float) -> int:
        """The number, by OpenCV's arithmetic on times, that makes a seek start at a key frame, or else meet it."""
        return int(fps * self.times[entry] / TICKS + 0.5) + self._behind

    def steps(self, at: int, index: int) -> tuple[int, float]:
        """Frames to decode from place `at` to `index`: by a seek, and onwards (infinity: it lies behind)."""
        before = 0 if self.indexed else RUN_UP
        return before + index - (self.entry(index) or 0) + SEEK_COST, index - at if index >= at else inf

    @property
    def _behind(self) -> int:
        """How far behind its key frame a seek's goal lies. Without an index the key frame itself is looked at."""
        return RUN_UP if self.indexed else 1

    def cost(self, wanted: Sequence[int], *, and_count: bool) -> float:
        """How many frames' time it takes to get to these, in ascending order, and then to count at the end."""
        last = len(self.times) - 1
        places = [*wanted, last] if and_count else wanted
        return sum(min(self.steps(at, index)) for at, index in pairwise([0, *places]))


Numbering: TypeAlias = "Callable[[float], int | None]"  # presentation time in seconds -> number of the frame


def numbering(decoded: Sequence[Moment], listed: Sequence[Moment], fps: float) -> Numbering | None:
    """How to tell which frames those are that were decoded behind a hole; None if it cannot be told.

    By the list of coded pictures if it is complete, else by a constant frame rate, if all of them keep to it.
    """
    listing = Landmarks.of(listed, decoded=False)
    if listing and all(listing.place(moment.seconds) is not None for moment in decoded):
        return listing.place

    def by_rate(seconds: float) -> int | None:
        number = round(seconds * fps)
        return number if abs(seconds * fps - number) < OFF_BEAT else None

    numbers = [by_rate(moment.seconds) for moment in decoded]
    distinct = {number for number in numbers if number is not None}
    return by_rate if fps and len(distinct) == len(decoded) else None


def may_pay(frames: int, wanted: int) -> bool:
    """Whether it is worth finding out if seeks pay, for a file that claims so many frames."""
    return frames > WORTH_SEEKING * (wanted + 2)


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS)
