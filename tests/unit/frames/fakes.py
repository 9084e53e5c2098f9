"""A fake video file whose faults are chosen, and counters around real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from backend.frames.capture import Header, Limits, Moment, OpenCVCapture, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from PIL import Image

    from backend.frames.capture import Pixels

SHADES = 256


def shade(image: Image.Image) -> int:
    """The number of the fake frame that a picture shows (below 256): its grey value."""
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(pixel[0])


@dataclass
class FakeFile:
    """A video of `total` grey frames at `fps`; call it to open it. `opened` counts how often that was done.

    Frames in `undecodable` fail in the decoder, those in `unreadable` only when taken out. `keys` are key frames.
    `claims` is the header's count, `times` the frames' presentation times where they are not even. A seek lands
    `overshoot` frames too far, and frames behind `end_of_seeks` cannot be reached by one.
    """

    total: int = 100
    fps: float = 10.0
    undecodable: Collection[int] = ()
    unreadable: Collection[int] = ()
    keys: Sequence[int] = (0,)
    claims: int | None = None
    times: Sequence[float] | None = None
    timeless: bool = False
    overshoot: int = 0
    seekable: bool = False
    indexed: bool = True
    opened: int = 0
    scanned: int = 0
    listed: Sequence[Moment] | None = None
    grabbed: list[int] = field(default_factory=list)

    def __call__(self, _path: Path, _limits: Limits) -> FakeCapture:
        self.opened += 1
        return FakeCapture(self)

    def scan(self, _path: Path, _limits: Limits) -> Sequence[Moment]:
        self.scanned += 1
        if self.listed is not None:
            return self.listed
        return [Moment(self.time(number), number in self.keys) for number in range(self.total)]

    def time(self, number: int) -> float:
        if self.timeless:
            return 0.0
        return number / self.fps if self.times is None else self.times[number]


class FakeCapture:
    """A `Capture` of a `FakeFile`."""

    def __init__(self, file: FakeFile) -> None:
        self._file = file
        self._at = -1
        claims = file.total if file.claims is None else file.claims
        self.header = Header(claims, file.fps, 4, 4, file.seekable, file.indexed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    @property
    def seconds(self) -> float:
        return self._file.time(self._at)

    @property
    def intra(self) -> bool:
        return self._at in self._file.keys

    def grab(self) -> bool:
        if self._at + 1 >= self._file.total:
            return False
        self._at += 1
        if self._at in self._file.undecodable:
            return False
        self._file.grabbed.append(self._at)
        return True

    def retrieve(self) -> Pixels | None:
        if self._at in self._file.unreadable:
            return None
        return np.full((4, 4, 3), self._at % SHADES, dtype=np.uint8)

    def seek(self, number: int) -> None:
        self._at = min(number + self._file.overshoot, self._file.total) - 1

    def unreadable(self) -> UnreadableError:
        return UnreadableError("holds no readable frame.")


@dataclass
class CountingOpener:
    """Opens real files and counts the frames that are decoded and the seeks that are made in them."""

    grabs: int = 0
    seeks: int = 0
    taken_out: int = 0

    def __call__(self, path: Path, limits: Limits) -> OpenCVCapture:
        return _Counted(path, limits, self)


class _Counted(OpenCVCapture):
    def __init__(self, path: Path, limits: Limits, counter: CountingOpener) -> None:
        super().__init__(path, limits)
        self._counter = counter

    def grab(self) -> bool:
        self._counter.grabs += 1
        return super().grab()

    def seek(self, number: int) -> None:
        self._counter.seeks += 1
        super().seek(number)

    def retrieve(self) -> Pixels | None:
        self._counter.taken_out += 1
        return super().retrieve()
