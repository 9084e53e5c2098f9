"""One open video file behind PyAV: for what OpenCV cannot show, such as interlaced pictures and AV1.

Where both can show a file, their pictures are the same to the bit. Only read front to back.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Self

from backend.frames.capture import HIGHEST_FPS, Header, UndecodableError, UnreadableError, container_of, decoder_threads
from backend.frames.container import why_unreadable

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType

    from backend.frames.capture import Limits, Pixels


class LibavCapture:
    """A `Capture` by PyAV; a context manager."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open `path`.

        Raises:
            UnreadableError: PyAV is missing, or the file is, or is no video, or larger than the limits.
        """
        self._container = container_of(path)
        self._path = path
        self._limits = limits
        try:
            import av
        except ImportError:
            raise UndecodableError("needs the package av to be decoded. Install it.") from None
        self._error = av.FFmpegError
        try:
            self._file = av.open(str(path.resolve()), options={"protocol_whitelist": "file"}, metadata_errors="replace")
        except self._error:
            raise self.unreadable() from None
        stream = self._file.streams.best("video")
        if not isinstance(stream, av.VideoStream) or stream.codec_context is None:  # None: no decoder for it
            self._file.close()
            raise self.unreadable()
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = decoder_threads()
        self._stream = stream
        self._intra = av.video.frame.PictureType.I
        self._frame: Any = None
        self._first: int | None = None  # presentation time of the first frame, in the stream's units
        self._frames = self._decoded()
        rate = float(self._stream.average_rate or 0)
        self.header = Header(
            frames=self._stream.frames if 1 <= self._stream.frames <= limits.frames else 0,
            fps=rate if 0 < rate <= HIGHEST_FPS else 0.0,
            width=self._stream.width,
            height=self._stream.height,
            seekable=False,
            indexed=False,
        )
        self._refuse_large(self._stream.width, self._stream.height)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.close()
        self._file.close()

    @property
    def seconds(self) -> float:
        """Presentation time of the frame grabbed last, counted from the first frame; 0 where the file gives none."""
        if self._frame is None or self._frame.pts is None or self._first is None:
            return 0.0
        seconds = float((self._frame.pts - self._first) * self._stream.time_base)
        return seconds if isfinite(seconds) and seconds > 0 else 0.0

    @property
    def intra(self) -> bool:
        """Whether the frame grabbed last was coded on its own."""
        return self._frame is not None and self._frame.pict_type == self._intra

    def grab(self) -> bool:
        """Decode the next frame; False at the end, and where one cannot be decoded.

        Raises:
            UnreadableError: it is larger than the limits.
        """
        frame = next(self._frames, None)
        if frame is None:
            return False
        self._refuse_large(frame.width, frame.height)
        self._frame = frame
        self._first = frame.pts if self._first is None else self._first
        return True

    def retrieve(self) -> Pixels | None:
        """The frame grabbed last, height x width x 3 bytes (blue, green, red), upright; None if unreadable."""
        import numpy as np

        try:
            pixels = self._frame.to_ndarray(format="bgr24")
        except (self._error, ValueError):
            return None
        return np.ascontiguousarray(np.rot90(pixels, self._frame.rotation // 90))

    def seek(self, number: int) -> None:
        """Not here: the header says so."""
        raise NotImplementedError(f"seek to {number}: files behind PyAV are read front to back")

    def unreadable(self) -> UnreadableError:
        """Why this file shows no picture at all."""
        return UndecodableError(why_unreadable(self._path, self._container, ""))

    def _decoded(self) -> Generator[Any, None, None]:
        """Every frame, and None for each part of the file that cannot be decoded."""
        packets = self._file.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except self._error:
                yield None

    def _refuse_large(self, width: int, height: int) -> None:
        if width * height > self._limits.pixels:
            most = f"{self._limits.pixels:,}"
            raise UnreadableError(f"is {width} x {height} pixels, more than {most} in a frame. Scale it down.")
