"""Where the frames a model inspected are in Label Studio's player, and how they are named to people.

The player (1.23) knows no frames, only time: with its rate r (the config's `frameRate`, 24 by default) it calls the
stretch from (f - 1) / r to f / r frame f, and jumping to f lands a few milliseconds after (f - 1) / r. So a frame of a
file is named by the first number whose landing falls into the time that the frame is on screen. Where the player's
rate is lower than the file's, some frames have no such number; then the one that lands nearest stands for it.
"""

from __future__ import annotations

import re
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backend.types import Clip, InspectedFrame, Judgement, VideoNumber

OTHER: dict[VideoNumber, VideoNumber] = {1: 2, 2: 1}
DEFAULT_FPS = 24.0
HIGHEST_FPS = 1000.0  # no player counts faster; what claims to would be infinite in the end
# Jumping to a number, the player rounds its time to this step and adds one.
STEP_S = 0.002
# Containers round the times of frames, to whole milliseconds in WebM: closer to a frame's edge is not safe.
MARGIN_S = 0.0005
NAMED = re.compile(
    r"\b(?:frames?|slots?|ind(?:ex|exes|ices))\b[\s#:\[(]*(\d+(?:\s*(?:,|/|and|&|to|-|–)+\s*\d+)*)", re.I
)
MOST_NAMED = 4


def player_fps(value: object) -> float:
    """The rate that the player takes from a `frameRate`, as written or from the task; values below 1 are periods.

    What is no rate, or none that a player could keep, stands for the player's own.
    """
    try:
        given = float(value) if isinstance(value, (int, float, str)) else 0.0
    except (ValueError, OverflowError):
        return DEFAULT_FPS
    rate = 1 / given if 0 < given < 1 else given
    return rate if 1 <= rate <= HIGHEST_FPS else DEFAULT_FPS


def player_frame(seconds: float, clip: Clip, rate: float) -> int:
    """The player's number, from 1, of the frame that a clip shows from `seconds` on, at `rate` numbers per second."""
    before = floor(seconds * rate) + 1
    candidates = range(max(1, before - 1), before + 3)
    fps = clip.fps or DEFAULT_FPS
    end = seconds + 1 / fps
    showing = [frame for frame in candidates if seconds + MARGIN_S <= _landing(frame, rate) <= end - MARGIN_S]
    middle = (seconds + end) / 2
    frame = showing[0] if showing else min(candidates, key=lambda frame: abs(_landing(frame, rate) - middle))
    return min(frame, max(1, ceil(clip.frames / fps * rate)))


def _landing(frame: int, rate: float) -> float:
    """The time that the player jumps to for a frame's number."""
    return round((frame - 1) / rate / STEP_S) * STEP_S + STEP_S


def spans(frames: Iterable[int]) -> list[dict[str, int]]:
    """Timeline ranges over these frame numbers, neighbours merged."""
    ranges: list[dict[str, int]] = []
    for frame in sorted(set(frames)):
        if ranges and frame == ranges[-1]["end"] + 1:
            ranges[-1]["end"] = frame
        else:
            ranges.append({"start": frame, "end": frame})
    return ranges


class Evidence:
    """The inspected frames of one judgement, numbered as the annotator's players number them."""

    def __init__(self, judgement: Judgement, rates: tuple[float, float]) -> None:
        """`rates` are the frame rates of the players that show the judgement's Video 1 and Video 2."""
        self._judgement = judgement
        self._clips = {clip.video: clip for clip in judgement.clips}
        self._rates = rates

    def exchanged(self) -> Evidence | None:
        """The evidence of the second look, in its own numbering: its Video 1 is this one's Video 2."""
        second = self._judgement.swapped
        return Evidence(second, (self._rates[1], self._rates[0])) if second else None

    def number(self, frame: InspectedFrame) -> int:
        """The player's number of a frame, from 1."""
        video = frame.ref.video
        return player_frame(frame.seconds, self._clips[video], self._rates[video - 1])

    def ranges(self, video: VideoNumber) -> list[dict[str, int]]:
        """What to mark on one video's timeline: the frames of it that were inspected in either order."""
        second = self.exchanged()
        return spans([*self._numbers(video), *(second._numbers(OTHER[video]) if second else [])])

    def _numbers(self, video: VideoNumber) -> list[int]:
        return [self.number(frame) for frame in self._judgement.frames if frame.ref.video == video]

    def names(self, frames: Sequence[InspectedFrame]) -> str:
        """`frame 61 (2.0 s), 91 (3.0 s)`; says so where a neighbour stands in for an unreadable frame."""
        named = [
            f"{self.number(frame)} ({frame.seconds:.1f} s{', nearest readable' if frame.index != frame.wanted else ''})"
            for frame in frames
        ]
        return f"frame{'s' if len(named) > 1 else ''} {', '.join(named)}"

    def shown(self, turn: int, video: VideoNumber) -> list[InspectedFrame]:
        """The frames of one video that were first seen by turn `turn` (from 0), in the order shown."""
        return [frame for frame in self._judgement.frames if frame.turn == turn and frame.ref.video == video]

    def glossary(self, text: str) -> str:
        """What the model's own frame numbers in `text` are in the players, for those that it had asked for; else ""."""
        asked = self._asked()
        numbers = [int(number) for match in NAMED.findall(text) for number in re.findall(r"\d+", match)]
        known = list(dict.fromkeys(number for number in numbers if number in asked))
        return " · ".join(f"“{number}” is {self._places(asked[number])}" for number in known[:MOST_NAMED])

    def _places(self, frames: Sequence[InspectedFrame]) -> str:
        """`frame 61, 2.0 s` where both videos agree, else the place in each; unbroken, because cards are narrow."""
        places = {
            frame.ref.video: f"frame\N{NO-BREAK SPACE}{self.number(frame)}, {frame.seconds:.1f}\N{NO-BREAK SPACE}s"
            for frame in frames
        }
        if len(set(places.values())) == 1 and len(places) > 1:
            return places[1]
        return ", ".join(f"{place} of Video {video}" for video, place in places.items())

    def _asked(self) -> dict[int, list[InspectedFrame]]:
        """The model's own number of each frame it asked for -> what it was shown (one frame, or one of each video)."""
        asked: dict[int, list[InspectedFrame]] = {}
        for turn, done in enumerate(self._judgement.turns):
            shown = [frame for frame in self._judgement.frames if frame.turn == turn + 1]
            if done.served:
                each = len(shown) // len(done.served)
                for place, number in enumerate(done.served):
                    asked.setdefault(number, shown[place * each : (place + 1) * each])
        return asked
