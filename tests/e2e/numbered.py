"""Clips whose every frame shows its own number, so that a browser can tell which one is on screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from imageio_ffmpeg import write_frames

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from backend.types import Clip, VideoNumber

BARS = 10  # the number in binary, lowest bit on the left: white is 1, black is 0


@dataclass(frozen=True, slots=True)
class Numbered:
    """One clip to make; `name` is its file's, without the ending."""

    name: str
    frames: int
    fps: float
    size: tuple[int, int] = (320, 240)

    def clip(self, video: VideoNumber) -> Clip:
        """What decoding would learn about it."""
        from backend.types import Clip

        return Clip(video, self.frames, self.fps, *self.size)

    def make(self, folder: Path) -> None:
        """Encode it as H.264, unless it is there."""
        path = folder / f"{self.name}.mp4"
        if path.is_file():
            return
        writer: Generator[None, bytes | None, None] = write_frames(
            str(path),
            self.size,
            fps=self.fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-crf", "16", "-preset", "veryfast", "-threads", "2", "-movflags", "+faststart"],
        )
        writer.send(None)
        for number in range(self.frames):
            writer.send(self._picture(number).tobytes())
        writer.close()

    def _picture(self, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        width, height = self.size
        picture = np.full((height, width, 3), 96, np.uint8)
        for bar in range(BARS):
            left, right = width * bar // BARS, width * (bar + 1) // BARS
            picture[height // 4 : 3 * height // 4, left:right] = 235 if number >> bar & 1 else 20
        return picture
