"""Decoded frames -> pictures of the contract's size, several at a time while decoding goes on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from backend.frames.capture import Pixels

IN_FLIGHT = 4  # decoded frames of full size that wait for their turn, per video


@dataclass(frozen=True, slots=True)
class Picture:
    """Frame `index` of a video, presented at `seconds`, as RGB in the contract's size."""

    index: int
    seconds: float
    image: Image.Image


class Darkroom:
    """Resizes the frames it is handed; a `Keep`. Holds at most `IN_FLIGHT` frames of full size at any time."""

    def __init__(self, workers: Executor, size: tuple[int, int]) -> None:
        """`size` is width and height in pixels."""
        self._workers = workers
        self._size = size
        self._waiting: deque[tuple[int, int, float, Future[Image.Image]]] = deque()
        self._done: dict[int, Picture] = {}
        self.original: tuple[int, int] | None = None  # width and height of the first frame

    def __call__(self, wanted: int, index: int, seconds: float, pixels: Pixels) -> None:
        """Take over frame `index`, which is shown where frame `wanted` was asked for."""
        height, width = pixels.shape[:2]
        self.original = self.original or (width, height)
        self._waiting.append((wanted, index, seconds, self._workers.submit(resized, pixels, self._size)))
        if len(self._waiting) >= IN_FLIGHT:
            self._finish_one()

    def pictures(self) -> dict[int, Picture]:
        """Everything taken over, by the frame that was asked for."""
        while self._waiting:
            self._finish_one()
        return self._done

    def _finish_one(self) -> None:
        wanted, index, seconds, image = self._waiting.popleft()
        self._done[wanted] = Picture(index, seconds, image.result())


def resized(pixels: Pixels, size: tuple[int, int]) -> Image.Image:
    """A frame (height x width x 3 bytes: blue, green, red) as RGB in another size, by PIL's default resampling.

    Each colour is resampled on its own, so they can be put in order afterwards, when there are fewer pixels.
    """
    small = Image.fromarray(pixels).resize(size)
    return Image.frombytes("RGB", size, small.tobytes(), "raw", "BGR")
