"""One open video file behind OpenCV: the only place that knows how OpenCV is asked.

Pictures are what `cv2.VideoCapture` shows by default, rotation metadata applied. OpenCV and FFmpeg are told to print
nothing: what is wrong with a file is in the error that is raised.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Protocol, Self

from backend.frames.container import Unplayable, sniff, why_unreadable

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


class UnreadableError(Exception):
    """A file shows no picture; the text goes on after the file's name. Callers make a `MediaError` of it."""


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
        self._container = _container(path)
        threads = [self._cv2.CAP_PROP_N_THREADS, decoder_threads()]
        self._file = self._cv2.VideoCapture(str(path.resolve()), self._cv2.CAP_FFMPEG, threads)
        if not self._file.isOpened():
            raise self.unreadable()
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
        return bool(self._file.grab())

    def retrieve(self) -> Pixels | None:
        """The frame grabbed last, height x width x 3 bytes (blue, green, red), upright; None if unreadable."""
        try:
            readable, pixels = self._file.retrieve()
        except self._cv2.error:
            return None
        return pixels if readable and pixels is not None and pixels.size else None

    def seek(self, number: int) -> None:
        """Go to where the frame of this number should be, by the file's own idea of its frame rate."""
        self._file.set(self._cv2.CAP_PROP_POS_FRAMES, number)

    def unreadable(self) -> UnreadableError:
        """Why this file shows no picture at all."""
        codec = _four_letters(self._file.get(self._cv2.CAP_PROP_FOURCC)) if self._file.isOpened() else ""
        return UnreadableError(why_unreadable(self._path, self._container, codec))


def decoder_threads() -> int:
    """Half the cores: the two videos of a pair are decoded at the same time."""
    return max(1, (os.cpu_count() or 1) // 2)


def _container(path: Path) -> Container:
    try:
        container = sniff(path)
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror}). Check its permissions.") from None
    if isinstance(container, Unplayable):
        raise UnreadableError(container.problem)
    return container


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
    # FFmpeg's log level is read by OpenCV from the process's own environment when the first file is opened.
    os.putenv("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
