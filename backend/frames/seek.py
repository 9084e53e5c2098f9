"""Few frames of a long video: seek to each, and believe only what the frames' own presentation times confirm.

The coded pictures are counted and timed without decoding them. OpenCV's frame numbers are arithmetic on times and wrong
where the frame rate varies, so after each seek the time of the decoded frame says which frame it really is. The end of
the file is decoded too, because some files list pictures at the end that cannot be shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.frames.capture import Capture
    from backend.frames.landmarks import Landmarks
    from backend.frames.sweep import Keep


class Seeker:
    """Moves through an open file by verified seeks. What is not proven has to be decoded from the file's start."""

    def __init__(self, capture: Capture, landmarks: Landmarks) -> None:
        """`capture` is freshly opened."""
        self._capture = capture
        self._landmarks = landmarks
        self._keys = frozenset(landmarks.keys)
        self._at = -1
        # A listed file that does not show a whole picture first was cut: its list counts from elsewhere.
        self._proven = self._step() and (landmarks.decoded or capture.intra)

    def count(self) -> int:
        """The true number of frames, by decoding the end of the file; 0 if not proven."""
        last = len(self._landmarks.times) - 1
        by_seek, onwards = self._landmarks.steps(self._at, last)
        if by_seek < onwards:
            self._jump(self._landmarks.entry(last))
        while self._proven and self._step():
            pass
        # One that fails before the end is a hole, not the end.
        if self._proven and any(self._capture.grab() for _ in range(last - self._at)):
            self._proven = False
        return self._at + 1 if self._proven else 0

    def collect(self, wanted: Sequence[int], keep: Keep) -> bool:
        """Keep these frames, in ascending order; whether all were proven. Unreadable ones are not kept."""
        for index in wanted:
            by_seek, onwards = self._landmarks.steps(self._at, index)
            if by_seek < onwards:
                self._jump(self._landmarks.entry(index))
            while self._proven and self._at < index:
                self._proven = self._step() and self._proven
            if not self._proven or self._at != index:
                return False
            if (pixels := self._capture.retrieve()) is not None:
                keep(index, index, self._capture.seconds, pixels)
        return True

    def _jump(self, entry: int | None) -> None:
        """Seek behind a key frame, or to the first frame, and see where that really is."""
        self._capture.seek(0 if entry is None else self._landmarks.goal(entry, self._capture.header.fps))
        if not self._landmarks.indexed:
            self._proven = self._proven and entry is not None and self._stands_at_key(entry)
        place = self._landmarks.place(self._capture.seconds) if self._capture.grab() else None
        self._at = -1 if place is None else place
        self._proven = self._proven and place is not None and self._is_as_listed()

    def _stands_at_key(self, entry: int) -> bool:
        """Whether that key frame was decoded last. Decoding may have started anywhere, but what follows it is whole."""
        return self._capture.intra and self._landmarks.place(self._capture.seconds) == entry

    def _step(self) -> bool:
        """Decode the next frame; False at the end. A frame that is not the next one listed disproves everything."""
        if not self._capture.grab():
            return False
        self._at += 1
        self._proven = self._at < len(self._landmarks.times) and self._is_as_listed()
        return True

    def _is_as_listed(self) -> bool:
        """Whether the frame has the time of its place, and was coded on its own if listed as a key frame."""
        on_time = self._landmarks.place(self._capture.seconds) == self._at
        return on_time and (self._capture.intra or self._at not in self._keys)
