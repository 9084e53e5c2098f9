"""Simple moving pictures with known defects, drawn with numpy: what the small checkpoint learns to see."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

COLORS = {
    "red": (0.80, 0.20, 0.18),
    "green": (0.22, 0.65, 0.25),
    "blue": (0.20, 0.32, 0.80),
    "yellow": (0.85, 0.78, 0.20),
    "gray": (0.55, 0.55, 0.55),
}
LOOKS = ("clear", "noisy", "blurry", "dark")
MOTIONS = ("steady", "torn")
SHAPES = ("ball", "box")


@dataclass(frozen=True, slots=True)
class Scene:
    """One video: what it shows and what is wrong with it. `seed` fixes everything that is not named."""

    color: str
    look: str
    motion: str
    shape: str
    seed: int


def picture(scene: Scene, moment: float, size: int = 448, part: tuple[int, int, int] | None = None) -> Image.Image:
    """The RGB frame at `moment` (0..1), as decoding and resizing to `size` x `size` pixels would give it.

    `part` (left, top, side) renders only that square of it, in the same pixels.
    """
    rng = np.random.default_rng(scene.seed)
    height = int(rng.integers(100, 260))
    width = int(height * rng.uniform(1.0, 1.8))
    pixels = _background(scene, rng, height, width, moment)
    _draw_objects(pixels, scene, rng, moment)
    frame = np.random.default_rng((scene.seed, round(moment * 1000)))
    image = _compressed(_flawed(pixels, scene, rng, frame), quality=int(rng.integers(60, 96)))
    left, top, side = part or (0, 0, size)
    box = (left * width / size, top * height / size, (left + side) * width / size, (top + side) * height / size)
    return image.resize((side, side), box=box)


def _background(scene: Scene, rng: np.random.Generator, height: int, width: int, moment: float) -> Pixels:
    """A slowly drifting texture in the scene's color, [height, width, 3] in 0..1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    x = x + np.float32(rng.uniform(-0.3, 0.3) * moment)
    angle, pitch = rng.uniform(-0.9, 0.9), rng.uniform(4, 14)
    along = (x * np.cos(angle) + y * np.sin(angle)) * pitch
    kind = rng.integers(3)
    if kind == 0:
        shade = np.sin(along * 2 * np.pi)
    elif kind == 1:
        shade = np.sign(np.sin(along * 2 * np.pi) * np.sin((x - y) * pitch * np.pi))
    else:
        shade = np.sin(along * 5) * np.sin(x * pitch * 3 + 2 * y) + np.sin(y * pitch * 2 + x)
    light = 0.85 + rng.uniform(0.08, 0.2) * shade + 0.15 * (y - 0.5)
    base = np.array(COLORS[scene.color], np.float32) + rng.uniform(-0.06, 0.06, 3).astype(np.float32)
    pixels: Pixels = (light[..., None] * base).astype(np.float32)
    return pixels


def _draw_objects(pixels: Pixels, scene: Scene, rng: np.random.Generator, moment: float) -> None:
    height, width, _ = pixels.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    for _ in range(int(rng.integers(1, 4))):
        start, speed = rng.uniform(0.1, 0.9, 2), rng.uniform(-0.5, 0.5, 2)
        center = np.abs((start + speed * moment + 1) % 2 - 1) * (width / height, 1.0)
        radius = rng.uniform(0.06, 0.16)
        dx, dy = np.abs(x - center[0]), np.abs(y - center[1])
        inside = (np.maximum(dx, dy) < radius) if scene.shape == "box" else (np.hypot(dx, dy) < radius)
        pixels[inside] = rng.uniform(0.05, 0.95, 3)


def _flawed(pixels: Pixels, scene: Scene, rng: np.random.Generator, frame: np.random.Generator) -> Image.Image:
    """The defects, in the order in which a camera and a bad renderer would add them."""
    height, width, _ = pixels.shape
    if scene.look == "dark":
        pixels = pixels * rng.uniform(0.12, 0.3)
    image = _image(pixels)
    if scene.look == "blurry":
        image = image.filter(ImageFilter.GaussianBlur(height * rng.uniform(0.015, 0.03)))
    if scene.motion == "torn":
        image = _torn(image, rng, frame)
    if scene.look == "noisy":
        noise = frame.standard_normal((height, width, 3), dtype=np.float32) * np.float32(rng.uniform(0.12, 0.25))
        image = _image(np.asarray(image, np.float32) / 255 + noise)
    return image


def _torn(image: Image.Image, rng: np.random.Generator, frame: np.random.Generator) -> Image.Image:
    """Bands of rows pushed sideways, as when parts of two moments meet in one frame."""
    rows = np.asarray(image)
    band = max(2, int(len(rows) * rng.uniform(0.02, 0.05)))
    count = -(-len(rows) // band)
    reach = rows.shape[1] * 0.08
    shifts = (frame.uniform(0.4, 1, count) * reach * frame.choice((-1, 1), count)).astype(int).repeat(band)
    columns = np.arange(rows.shape[1])
    return Image.fromarray(rows[np.arange(len(rows))[:, None], (columns - shifts[: len(rows), None]) % rows.shape[1]])


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    """With the marks of a lossy codec, because real clips have them."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)
