"""Small made-up videos for both loops: quick to encode, every picture different."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from backend.types import Clip, Frame, FrameRef

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = (84, 56)


class SmallVideos:
    """A `FrameSource` for the product and `Videos` for the reference, with the same pixels."""

    def __init__(self, seed: int, size: tuple[int, int] = SIZE) -> None:
        self.clips = (Clip(1, 128, 24.0, *size), Clip(2, 128, 24.0, *size))
        self._seed, self._size = seed, size
        self._frames: dict[FrameRef, Frame] = {}

    def image(self, video: int, slot: int) -> Image.Image:
        """The picture of a slot."""
        colors = np.random.default_rng((self._seed, video, slot)).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        return Image.fromarray(colors).resize(self._size)

    def frames(self, refs: Sequence[FrameRef]) -> Sequence[Frame]:
        """The same object for a repeated reference."""
        for ref in refs:
            if ref not in self._frames:
                self._frames[ref] = Frame(ref, ref.slot, ref.slot, 0.0, self.image(ref.video, ref.slot))
        return [self._frames[ref] for ref in refs]
