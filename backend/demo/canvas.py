"""Drawing with soft edges: everything is painted at twice the size and scaled down once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Colour: TypeAlias = "tuple[int, int, int]"
Point: TypeAlias = "tuple[float, float]"
Size: TypeAlias = "tuple[int, int]"

SHARP = 2


class Canvas:
    """An RGB picture with coordinates from (0, 0) to (1, 1); radii and widths are shares of its height."""

    def __init__(self, size: Size, backdrop: Image.Image | None = None) -> None:
        """`size` is the finished size in pixels; `backdrop` an image made by `image()` of a canvas of that size."""
        self.size = size
        self.wide, self.high = size[0] * SHARP, size[1] * SHARP
        self.image = backdrop.copy() if backdrop else Image.new("RGB", (self.wide, self.high))
        self._draw = ImageDraw.Draw(self.image, "RGBA")

    def gradient(self, stops: Sequence[tuple[float, Colour]]) -> None:
        """Fill with a vertical gradient; `stops` are (height, colour) from top (0) to bottom (1)."""
        heights = np.linspace(0, 1, self.high)
        places = [place for place, _ in stops]
        channels = [np.interp(heights, places, [colour[c] for _, colour in stops]) for c in range(3)]
        column = np.stack(channels, axis=1)[:, None, :]
        pixels = np.broadcast_to(column, (self.high, self.wide, 3)).astype(np.uint8)
        self.image.paste(Image.fromarray(np.ascontiguousarray(pixels)))

    def polygon(self, points: Sequence[Point], colour: Colour, alpha: int = 255) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self.wide, y * self.high) for x, y in points], fill=(*colour, alpha))

    def circle(self, centre: Point, radius: float, colour: Colour, alpha: int = 255) -> None:
        """A filled circle."""
        self.ellipse(centre, (radius, radius), colour, alpha)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, alpha: int = 255) -> None:
        """A filled ellipse; both radii are shares of the height."""
        x, y = centre[0] * self.wide, centre[1] * self.high
        across, down = radii[0] * self.high, radii[1] * self.high
        self._draw.ellipse((x - across, y - down, x + across, y + down), fill=(*colour, alpha))

    def line(self, points: Sequence[Point], colour: Colour, width: float, alpha: int = 255) -> None:
        """A line through points."""
        places = [(x * self.wide, y * self.high) for x, y in points]
        self._draw.line(places, fill=(*colour, alpha), width=max(1, round(width * self.high)), joint="curve")

    def rectangle(self, corner: Point, opposite: Point, colour: Colour, alpha: int = 255) -> None:
        """A filled rectangle."""
        box = (corner[0] * self.wide, corner[1] * self.high, opposite[0] * self.wide, opposite[1] * self.high)
        self._draw.rectangle(box, fill=(*colour, alpha))

    def glow(self, centre: Point, radius: float, colour: Colour, strength: float = 1.0) -> None:
        """Light that fades out towards `radius`."""
        x, y, reach = centre[0] * self.wide, centre[1] * self.high, radius * self.high
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(self.wide, int(x + reach) + 1), min(self.high, int(y + reach) + 1)
        if left >= right or top >= bottom:
            return
        box = (left, top, right, bottom)
        rows, columns = np.mgrid[top:bottom, left:right]
        fade = np.clip(1 - np.hypot(columns - x, rows - y) / reach, 0, 1)[..., None] ** 2 * strength
        under = np.asarray(self.image.crop(box), dtype=np.float32)
        lit = under + (np.array(colour, dtype=np.float32) - under) * np.clip(fade, 0, 1)
        self.image.paste(Image.fromarray(lit.astype(np.uint8)), box)

    def soften(self, radius: float) -> None:
        """Blur everything painted so far."""
        self.image = self.image.filter(ImageFilter.GaussianBlur(radius * self.high))
        self._draw = ImageDraw.Draw(self.image, "RGBA")

    def finished(self) -> Image.Image:
        """The picture in its final size."""
        return self.image.resize(self.size, Image.Resampling.BOX)


def ridge(seed: int, base: float, rough: float) -> list[Point]:
    """The outline of hills around the height `base`, closed along the bottom edge."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 1, 200)
    y: NDArray[np.float64] = np.full(len(x), base)
    for octave in range(1, 5):
        y += rough / octave * np.sin(x * octave * 5.1 + random.uniform(0, 6.28))
    return [(0, 1), *((float(a), float(b)) for a, b in zip(x, y, strict=True)), (1, 1)]
