"""What can be wrong with a generated video: each defect changes the frames of a good one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageFilter

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Frames: TypeAlias = "Sequence[Picture]"
Defect: TypeAlias = Callable[[Frames], Frames]


def noise(frames: Frames) -> Frames:
    """Heavy grain, 2 pixels wide, that differs from frame to frame."""
    random = np.random.default_rng(1)

    def grain(frame: Picture) -> Picture:
        pixels = np.asarray(frame, dtype=np.float32)
        coarse = random.normal(0, 36, (frame.height // 2, frame.width // 2, 1)).astype(np.float32)
        grainy = pixels + coarse.repeat(2, axis=0).repeat(2, axis=1)
        return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))

    return [grain(frame) for frame in frames]


def jitter(frames: Frames) -> Frames:
    """The whole picture jumps about."""
    jumps = np.random.default_rng(2).integers(-16, 17, (len(frames), 2)).tolist()
    return [ImageChops.offset(frame, x, y) for frame, (x, y) in zip(frames, jumps, strict=True)]


def blur(frames: Frames) -> Frames:
    """Out of focus from the first frame to the last."""
    return [frame.filter(ImageFilter.GaussianBlur(7)) for frame in frames]


def colour_shift(frames: Frames) -> Frames:
    """The hues drift around the colour wheel."""

    def shifted(frame: Picture, by: int) -> Picture:
        hue, saturation, value = frame.convert("HSV").split()
        return Image.merge("HSV", (hue.point(lambda h: (h + by) % 256), saturation, value)).convert("RGB")

    return [shifted(frame, 60 + 120 * number // len(frames)) for number, frame in enumerate(frames)]


def freeze(frames: Frames) -> Frames:
    """Stands still in the middle, then jumps."""
    start, end = len(frames) // 4, len(frames) * 4 // 5
    return [frames[start] if start <= number < end else frame for number, frame in enumerate(frames)]
