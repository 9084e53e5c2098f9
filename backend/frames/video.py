"""One video file on a contract's frame grid: its true length is learnt once, each wanted frame is decoded once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from backend.errors import MediaError
from backend.frames.capture import UndecodableError, UnreadableError
from backend.frames.landmarks import Landmarks, may_pay, numbering
from backend.frames.picture import Darkroom
from backend.frames.seek import Seeker
from backend.frames.sweep import Walk, stand_ins, sweep
from backend.reasoning.contract import grid_index
from backend.types import Clip, Frame, FrameRef

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backend.frames.cache import Shelf
    from backend.frames.capture import Capture, Header, Limits, Moment
    from backend.frames.landmarks import Numbering
    from backend.frames.picture import Picture
    from backend.reasoning.contract import Contract
    from backend.types import VideoNumber

    Open: TypeAlias = Callable[[Path, Limits], AbstractContextManager[Capture]]
    Scan: TypeAlias = Callable[[Path, Limits], Sequence[Moment]]


class Video:
    """Decodes on demand and keeps what was wanted; the file is open only meanwhile. Not for several threads at once."""

    def __init__(
        self,
        number: VideoNumber,
        path: Path,
        contract: Contract,
        *,
        limits: Limits,
        open_capture: Open,
        open_otherwise: Open | None,
        scan: Scan,
        shelf: Shelf | None,
    ) -> None:
        """`open_capture` and `scan` read files, `open_otherwise` those of which the former shows nothing.

        `shelf` holds what earlier tasks decoded of this one.
        """
        self._number = number
        self._path = path
        self._contract = contract
        self._limits = limits
        self._open = open_capture
        self._open_otherwise = open_otherwise
        self._scan = scan
        self._shelf = shelf
        self._landmarks: Landmarks | None = None  # for seeks
        self._numbering: Numbering | None = None  # where decoding has or may have holes
        self._close_up = False  # holes cannot be told: frames behind them move up
        self._listed: Sequence[Moment] | None = None
        self._pictures: dict[int, Picture] = {}
        self._clip = shelf.clip(number) if shelf else None

    @property
    def clip(self) -> Clip:
        """What decoding learnt about the file; known after the first `load`."""
        if self._clip is None:
            raise ValueError(f"nothing was loaded of {self._path} yet")
        return self._clip

    def load(self, slots: Collection[int], workers: Executor) -> None:
        """Decode the frames at these slots of the grid, as far as they are not here yet.

        Raises:
            MediaError: the file is missing, no video, beyond the limits, or has no readable frame.
        """
        try:
            try:
                self._load(slots, workers)
            except UndecodableError as error:
                self._load_otherwise(slots, workers, error)
        except UnreadableError as error:
            raise MediaError(f"Video {self._number} ({self._path.name}) {error}") from None

    def _load_otherwise(self, slots: Collection[int], workers: Executor, error: UndecodableError) -> None:
        """By the other decoder, from now on."""
        if self._open_otherwise is None:
            raise error
        self._open, self._open_otherwise, self._landmarks = self._open_otherwise, None, None
        try:
            self._load(slots, workers)
        except UndecodableError:
            raise error from None

    def frame(self, slot: int) -> Frame:
        """The frame at a slot that was loaded; a new object each time."""
        wanted = self._index(slot)
        picture = self._pictures[wanted]
        seconds = picture.seconds
        if not seconds and self.clip.fps:  # no time given: the container has none
            seconds = picture.index / self.clip.fps
        return Frame(FrameRef(self._number, slot), picture.index, wanted, seconds, picture.image)

    def _load(self, slots: Collection[int], workers: Executor) -> None:
        if self._clip is None:
            self._decode(slots, workers)
        # Once more with the true count: only what the first pass, led by the header's count, did not meet.
        if self._missing(slots) and self._shelf:
            self._pictures.update(self._shelf.pictures({self._index(slot) for slot in slots}))
        if missing := self._missing(slots):
            self._decode(missing, workers)
        if missing := self._missing(slots):
            self._substitute(missing, workers)

    def _index(self, slot: int) -> int:
        return grid_index(slot, self.clip.frames, self._contract.slots)

    def _missing(self, slots: Collection[int]) -> list[int]:
        return [slot for slot in slots if self._index(slot) not in self._pictures]

    def _decode(self, slots: Collection[int], workers: Executor) -> None:
        """Read the file once: by seeks where they pay and prove right, else from its first frame on."""
        with self._open(self._path, self._limits) as capture:
            route = self._route(capture.header, slots)
            if route is None:
                self._sweep(capture, slots, workers)
                return
            if self._seek(capture, route, slots, workers):
                return
        self._landmarks = None
        with self._open(self._path, self._limits) as capture:
            self._sweep(capture, slots, workers)

    def _route(self, header: Header, slots: Collection[int]) -> Landmarks | None:
        """Where to seek; None where decoding from the start is cheaper or the only way."""
        first_time = self._clip is None
        frames = header.frames if self._clip is None else self._clip.frames
        can_seek = header.seekable and may_pay(frames, len(slots))
        if self._landmarks is None and self._listed is None and (can_seek or not header.frames):
            self._listed = self._scan(self._path, self._limits)
            self._landmarks = Landmarks.of(self._listed, decoded=False, indexed=header.indexed)
        if not can_seek or self._landmarks is None:
            return None
        total = len(self._landmarks.times) if self._clip is None else self._clip.frames
        places = self._places(slots, total)
        by_seeks = self._landmarks.cost(places, and_count=first_time)
        return self._landmarks if by_seeks < (total if first_time else max(places)) else None

    def _places(self, slots: Collection[int], total: int) -> list[int]:
        return sorted({grid_index(slot, total, self._contract.slots) for slot in slots})

    def _seek(self, capture: Capture, landmarks: Landmarks, slots: Collection[int], workers: Executor) -> bool:
        seeker = Seeker(capture, landmarks)
        total = self._clip.frames if self._clip else len(landmarks.times)
        darkroom = Darkroom(workers, self._contract.image_size)
        if not seeker.collect(self._places(slots, total), darkroom):
            return False
        if self._clip is None and not (total := seeker.count()):
            return False
        if not landmarks.decoded:
            self._numbering = landmarks.place
        self._learn(total, darkroom, slots, capture)
        return True

    def _sweep(self, capture: Capture, slots: Collection[int], workers: Executor) -> None:
        first_time = self._clip is None
        guess = self._clip.frames if self._clip else len(self._listed or ()) or capture.header.frames
        darkroom = Darkroom(workers, self._contract.image_size)
        walk = Walk(capture, self._limits, self._numbering)
        wanted = self._places(slots, guess) if guess else []
        count = sweep(walk, capture, wanted, darkroom, to_end=first_time)
        if walk.gap and self._numbering is None and not self._close_up:
            self._number_by_time(walk.moments, capture.header.fps)
            if self._numbering and [self._numbering(m.seconds) for m in walk.moments] != list(range(len(walk.moments))):
                with self._open(self._path, self._limits) as again:
                    self._sweep(again, slots, workers)
                return
        if first_time:
            if not count:
                raise capture.unreadable()
            self._landmarks = None if walk.gap else self._charted(walk.moments, indexed=capture.header.indexed)
        self._learn(count, darkroom, slots, capture)

    def _charted(self, moments: Sequence[Moment], *, indexed: bool) -> Landmarks | None:
        """Landmarks from decoding every frame. Without an index the list has to say which are key frames."""
        decoded = Landmarks.of(moments, decoded=True)
        if indexed or decoded is None:
            return decoded
        return self._landmarks if self._landmarks and self._landmarks.times == decoded.times else None

    def _number_by_time(self, moments: Sequence[Moment], fps: float) -> None:
        """Have frames numbered by their times from now on, if these tell which of all frames they are."""
        self._listed = self._listed or self._scan(self._path, self._limits)
        self._numbering = numbering(moments, self._listed, fps)
        if self._numbering is None:
            self._close_up, self._shelf = True, None

    def _learn(self, total: int, darkroom: Darkroom, slots: Collection[int], capture: Capture) -> None:
        """Note what the first pass found out; keep of its pictures those that the true count asks for."""
        developed = darkroom.pictures()
        if self._clip is None:
            header = capture.header
            width, height = darkroom.original or (header.width, header.height)
            fps = header.fps or ((total - 1) / capture.seconds if capture.seconds else 0.0)
            self._clip = Clip(self._number, total, fps, width, height, _digest(self._path))
        wanted = {self._index(slot) for slot in slots}
        self._keep({index: picture for index, picture in developed.items() if index in wanted})

    def _substitute(self, slots: Collection[int], workers: Executor) -> None:
        darkroom = Darkroom(workers, self._contract.image_size)
        with self._open(self._path, self._limits) as capture:
            walk = Walk(capture, self._limits, self._numbering)
            stand_ins(walk, capture, {self._index(slot) for slot in slots}, darkroom)
            if not (developed := darkroom.pictures()):
                raise capture.unreadable()
        self._keep(developed)

    def _keep(self, pictures: dict[int, Picture]) -> None:
        self._pictures.update(pictures)
        if self._shelf and self._clip:
            self._shelf.put(self._clip, pictures)


def _digest(path: Path) -> str:
    """Of the file's bytes, so that an export can tell a video from the one that was judged; empty if it is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
