"""Frames of noise in any size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from backend.types import Frame, FrameRef


def noise(seed: int, size: tuple[int, int] = (56, 56)) -> Frame:
    """A frame like no other seed's; width and height in pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Frame(FrameRef(1, seed), seed, seed, 0.0, Image.fromarray(pixels))
