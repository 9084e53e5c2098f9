"""One open video file behind OpenCV: the only place that knows how OpenCV is asked.

Pictures are what `cv2.VideoCapture` shows by default, rotation metadata applied. OpenCV and FFmpeg are told to print
nothing: what is wrong with a file is in the error that is raised.

OpenCV says nothing when it fails to convert a picture, as it does for each interlaced one: it hands out what its memory
held before. So a picture that is the very same as the last one handed out is not believed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, Self

from backend.frames.container import RE_ENCODE, Unplayable, sniff, why_unreadable

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType, TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from backend.frames.container import Container

    Pixels = NDArray[np.uint8]

FFMPEG_QUIET = "-8"  # AV_LOG_QUIET
HIGHEST_FPS = 1000.0
LEAST_PATIENCE = 16  # failures in a row before a file has ended
GLANCE_ROWS = 61
READ_ATTEMPTS = 10**8  # packets of other streams, such as sound, between two pictures


class UnreadableError(Exception):
    """A file shows no picture; the text goes on after the file's name. Callers make a `MediaError` of it."""


class UndecodableError(UnreadableError):
    """This decoder shows no picture of a file, or none that can be believed; another one may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one video may cost; a file beyond any of them is refused.

    `frames` in the whole file, `pixels` of one frame, `seconds` of decoding for one pass over the file.
    """

    frames: int = 200_000
    pixels: int = 8192 * 8192
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says of itself, true or not: 0 frames or 0 fps where it says nothing that can be.

    `indexed`: it says where its key frames are, and a seek starts at one of them.
    """

    frames: int
    fps: float
    width: int
    height: int
    seekable: bool
    indexed: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame's presentation time in seconds, and whether it was coded on its own, so that decoding can start there."""

    seconds: float
    key: bool


class Capture(Protocol):
    """A video file read front to back."""

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        ...

    @property
    def seconds(self) -> float:
        """Presentation time of the frame grabbed last; 0 where the file gives none."""
        ...

    @property
    def intra(self) -> bool:
        """Whether the frame grabbed last was coded on its own."""
        ...

    def grab(self) -> bool:
        """Decode the next frame; False at the end."""
        ...

    def retrieve(self) -> Pixels | None:
        """The frame grabbed last as height x width x 3 bytes in the order blue, green, red; None if unreadable."""
        ...

    def seek(self, number: int) -> None:
        """Go to where the frame of this number should be, by the file's own idea of its frame rate."""
        ...

    def unreadable(self) -> UnreadableError:
        """Why the file shows no picture at all."""
        ...


class OpenCVCapture:
    """A `Capture` by `cv2.VideoCapture` on FFmpeg; a context manager."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open `path`.

        Raises:
            UnreadableError: the file is missing, no video, damaged from the start, or larger than the limits.
        """
        self._cv2 = load_cv2()
        self._path = path
        self._container = container_of(path)
        threads = [self._cv2.CAP_PROP_N_THREADS, decoder_threads()]
        self._file = self._cv2.VideoCapture(str(path.resolve()), self._cv2.CAP_FFMPEG, threads)
        if not self._file.isOpened():
            raise self.unreadable()
        self._grabbed = 0
        self._handed_out: Pixels | None = None
        self.header = self._header(limits)
        if self.header.width * self.header.height > limits.pixels:
            size = f"{self.header.width} x {self.header.height}"
            raise UnreadableError(f"is {size} pixels, more than {limits.pixels:,} in a frame. Scale it down.")

    def _header(self, limits: Limits) -> Header:
        cv2, get = self._cv2, self._file.get
        frames, fps = get(cv2.CAP_PROP_FRAME_COUNT), get(cv2.CAP_PROP_FPS)
        return Header(
            frames=int(frames) if 1 <= frames <= limits.frames else 0,
            fps=fps if 0 < fps <= HIGHEST_FPS else 0.0,
            width=int(get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(get(cv2.CAP_PROP_FRAME_HEIGHT)),
            # Without a count OpenCV does not seek at all.
            seekable=self._container.can_be_sought and 1 < frames <= limits.frames and 0 < fps <= HIGHEST_FPS,
            indexed=self._container.has_key_frame_index,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.release()

    @property
    def seconds(self) -> float:
        """Presentation time of the frame grabbed last; 0 where the file gives none."""
        milliseconds = self._file.get(self._cv2.CAP_PROP_POS_MSEC)
        return milliseconds / 1000 if isfinite(milliseconds) and milliseconds > 0 else 0.0

    @property
    def intra(self) -> bool:
        """Whether the frame grabbed last was coded on its own."""
        return int(self._file.get(self._cv2.CAP_PROP_FRAME_TYPE)) == ord("I")

    def grab(self) -> bool:
        """Decode the next frame; False at the end."""
        if not self._file.grab():
            return False
        self._grabbed += 1
        if self._grabbed == 1:
            self._handed_out = _picture(self._file)
        return True

    def retrieve(self) -> Pixels | None:
        """The frame grabbed last, height x width x 3 bytes (blue, green, red), upright; None if unreadable.

        Raises:
            UndecodableError: it is the same as another one, to the bit, or there is no other.
        """
        pixels = _picture(self._file)
        if pixels is None:
            return None
        if not (self._begins_with_change() if self._grabbed == 1 else _differ(self._handed_out, pixels)):
            raise UndecodableError(
                "shows the same picture twice, or pictures that OpenCV cannot convert, such as interlaced ones. "
                f"Install the package av, or do this: {RE_ENCODE}."
            )
        self._handed_out = pixels
        return pixels

    def _begins_with_change(self) -> bool:
        """Whether the first two pictures differ, by a glance from outside."""
        glance = self._cv2.VideoCapture(str(self._path.resolve()), self._cv2.CAP_FFMPEG)
        first, second = (_picture(glance) if glance.grab() else None for _ in range(2))
        glance.release()
        return second is not None and _differ(first, second)

    def seek(self, number: int) -> None:
        """Go to where the frame of this number should be, by the file's own idea of its frame rate."""
        self._file.set(self._cv2.CAP_PROP_POS_FRAMES, number)

    def unreadable(self) -> UnreadableError:
        """Why OpenCV shows no picture of this file at all."""
        codec = _four_letters(self._file.get(self._cv2.CAP_PROP_FOURCC)) if self._file.isOpened() else ""
        return UndecodableError(why_unreadable(self._path, self._container, codec))


def decoder_threads() -> int:
    """Half the cores: the two videos of a pair are decoded at the same time."""
    return max(1, (os.cpu_count() or 1) // 2)


def container_of(path: Path) -> Container:
    """What kind of file it is, by its bytes.

    Raises:
        UnreadableError: it cannot be read, or is no kind of video that is decoded here.
    """
    try:
        container = sniff(path)
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror}). Check its permissions.") from None
    if isinstance(container, Unplayable):
        raise UnreadableError(container.problem)
    return container


def _picture(file: Any) -> Pixels | None:  # noqa: ANN401  # a cv2.VideoCapture
    try:
        readable, pixels = file.retrieve()
    except load_cv2().error:
        return None
    return pixels if readable and pixels is not None and pixels.size else None


def _differ(one: Pixels | None, other: Pixels) -> bool:
    """Whether two pictures are not the same to the bit, which mostly a few rows tell; False without the one."""
    if one is None:
        return False
    few = slice(None, None, GLANCE_ROWS)
    return one.shape != other.shape or bool((one[few] != other[few]).any() or (one != other).any())


def packets(path: Path, limits: Limits) -> list[Moment]:
    """The coded pictures of a file in the order stored, without decoding them; empty if that is no complete list.

    Reads the whole file once: a few milliseconds per minute of video.
    """
    cv2 = load_cv2()
    file = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    found: list[Moment] = []
    while len(found) <= limits.frames and file.isOpened() and file.grab():
        seconds = file.get(cv2.CAP_PROP_POS_MSEC) / 1000
        found.append(Moment(seconds, key=file.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) > 0))
    damaged = any(file.grab() for _ in range(LEAST_PATIENCE))  # one that cannot be read, and more behind it
    file.release()
    return [] if damaged else found


def _four_letters(code: float) -> str:
    letters = int(code).to_bytes(4, "little", signed=code < 0) if isfinite(code) else b""
    return letters.decode("ascii", "replace").strip("\x00")


def load_cv2() -> ModuleType:
    """OpenCV, imported when first needed and told to print nothing."""
    # OpenCV reads these from the process's own environment when the first file is opened.
    os.putenv("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
    os.putenv("OPENCV_FFMPEG_READ_ATTEMPTS", str(READ_ATTEMPTS))
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
