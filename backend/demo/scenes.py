"""Six little films, drawn. A scene is made once per size and then paints any moment from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from backend.demo.canvas import Canvas, Size, ridge

if TYPE_CHECKING:
    from PIL.Image import Image

    from backend.demo.canvas import Colour, Point

Painter: TypeAlias = Callable[[float], "Image"]
Scene: TypeAlias = Callable[[Size], Painter]

MOUNTAINS: list[tuple[float, float, float, Colour]] = [
    (0.06, 0.46, 0.3, (158, 156, 196)),
    (0.42, 0.4, 0.34, (150, 150, 192)),
    (0.94, 0.36, 0.36, (144, 146, 190)),
    (0.24, 0.56, 0.3, (122, 126, 174)),
    (0.66, 0.6, 0.32, (112, 118, 168)),
]


def kite(size: Size) -> Painter:
    """A red kite over snowy mountains at sunrise."""
    sky = Canvas(size)
    sky.gradient([(0, (86, 110, 178)), (0.45, (240, 168, 140)), (0.7, (255, 214, 160)), (1, (255, 230, 190))])
    sky.glow((0.72, 0.55), 0.6, (255, 240, 190), 0.9)
    sky.circle((0.72, 0.55), 0.06, (255, 246, 214))
    for x, top, wide, colour in MOUNTAINS:
        sky.polygon([(x, top), (x + wide, 1.3), (x - wide, 1.3)], colour)
        rock, cap = 1.3 - top, [(0.14, 0.15), (0.07, 0.11), (0.03, 0.17), (-0.04, 0.12), (-0.1, 0.16), (-0.13, 0.14)]
        snow = [(x + wide * share * depth / 0.14, top + rock * depth) for share, depth in cap]
        sky.polygon([(x, top), *snow], (250, 250, 255))
    for number, (base, colour) in enumerate([(0.84, (84, 92, 142)), (0.93, (58, 68, 112))]):
        sky.polygon(ridge(number + 3, base, 0.03), colour)

    def paint(moment: float) -> Image:
        canvas = Canvas(size, sky.image)
        x, y = 0.12 + 0.7 * moment, 0.34 - 0.14 * sin(moment * pi) + 0.02 * sin(moment * 9)
        tail = [(x - 0.012 * k, y + 0.1 + 0.022 * k + 0.012 * sin(moment * 20 + k)) for k in range(9)]
        canvas.line(tail, (255, 244, 220), 0.008)
        wing = 0.055
        canvas.polygon([(x, y - 0.11), (x + wing, y), (x, y + 0.11), (x - wing, y)], (214, 40, 40))
        canvas.polygon([(x, y - 0.11), (x + wing, y), (x, y + 0.11)], (240, 84, 60))
        return canvas.finished()

    return paint


def boat(size: Size) -> Painter:
    """A boat with a lantern on a calm lake under the moon."""
    night = Canvas(size)
    night.gradient(
        [(0, (10, 14, 40)), (0.5, (38, 52, 104)), (0.56, (60, 76, 130)), (0.57, (24, 34, 80)), (1, (8, 12, 36))]
    )
    random = np.random.default_rng(7)
    for x, y, bright in random.uniform(0, 1, (90, 3)):
        night.circle((float(x), float(y) * 0.5), 0.0022 + 0.002 * float(bright), (255, 255, 240), 190)
    night.glow((0.78, 0.18), 0.32, (240, 240, 255), 0.5)
    night.circle((0.78, 0.18), 0.07, (248, 246, 226))
    night.polygon([(x, min(y, 0.57)) for x, y in ridge(11, 0.52, 0.04)], (16, 22, 56))
    night.rectangle((0, 0.565), (1, 1), (16, 26, 70))
    for band in range(12):
        night.rectangle((0, 0.58 + 0.035 * band), (1, 1), (10, 16, 46), 40)

    def paint(moment: float) -> Image:
        canvas = Canvas(size, night.image)
        for row in range(14):
            y, sway = 0.6 + row * 0.028, 0.012 * sin(moment * 12 + row)
            canvas.line([(0.74 + sway - row * 0.004, y), (0.82 + sway + row * 0.004, y)], (230, 230, 220), 0.006, 110)
        x, y = 0.1 + 0.62 * moment, 0.7 + 0.008 * sin(moment * 14)
        canvas.glow((x + 0.05, y - 0.07), 0.3, (255, 190, 90), 0.8)
        canvas.glow((x + 0.05, y + 0.1), 0.2, (255, 170, 70), 0.5)
        canvas.polygon([(x - 0.11, y), (x + 0.11, y), (x + 0.075, y + 0.06), (x - 0.075, y + 0.06)], (92, 52, 30))
        canvas.line([(x + 0.05, y), (x + 0.05, y - 0.1)], (60, 36, 24), 0.012)
        canvas.circle((x + 0.05, y - 0.08), 0.03, (255, 226, 150))
        return canvas.finished()

    return paint


def meadow(size: Size) -> Canvas:
    """Green hills on a bright day, the stage for the balloon and for what should not be there."""
    day = Canvas(size)
    day.gradient([(0, (90, 170, 240)), (0.7, (205, 236, 255)), (1, (220, 244, 255))])
    for x, y, wide in [(0.2, 0.2, 1.0), (0.66, 0.13, 0.8), (0.9, 0.32, 0.6)]:
        for shift, radius in [(-0.07, 0.04), (0, 0.06), (0.07, 0.045)]:
            day.ellipse((x + shift * wide, y), (radius * wide * 1.6, radius * wide), (255, 255, 255), 235)
    for number, (base, colour) in enumerate([(0.7, (120, 190, 96)), (0.8, (86, 168, 76)), (0.9, (58, 140, 62))]):
        day.polygon(ridge(number + 21, base, 0.05), colour)
    return day


def balloon(size: Size) -> Painter:
    """A yellow hot-air balloon that rises over green hills."""
    day = meadow(size)

    def paint(moment: float) -> Image:
        canvas = Canvas(size, day.image)
        x, y = 0.36 + 0.24 * moment, 0.78 - 0.5 * moment
        canvas.line([(x - 0.04, y + 0.1), (x - 0.02, y + 0.22)], (90, 70, 50), 0.006)
        canvas.line([(x + 0.04, y + 0.1), (x + 0.02, y + 0.22)], (90, 70, 50), 0.006)
        canvas.ellipse((x, y), (0.135, 0.15), (250, 200, 40))
        canvas.ellipse((x, y), (0.08, 0.15), (255, 224, 96))
        canvas.ellipse((x, y), (0.028, 0.15), (250, 200, 40))
        canvas.rectangle((x - 0.022, y + 0.21), (x + 0.022, y + 0.26), (150, 96, 50))
        return canvas.finished()

    return paint


def umbrella(size: Size) -> Painter:
    """The same hills with a purple umbrella that falls: not what the balloon's prompt asks for."""
    day = meadow(size)

    def paint(moment: float) -> Image:
        canvas = Canvas(size, day.image)
        x, y = 0.62 - 0.2 * moment + 0.03 * sin(moment * 8), 0.15 + 0.5 * moment
        canvas.line([(x, y), (x, y + 0.22), (x + 0.02, y + 0.25), (x + 0.035, y + 0.22)], (70, 50, 40), 0.012)
        dome = [(x + 0.13 * cos(a), y - 0.2 * sin(a)) for a in np.linspace(0, pi, 30)]
        scallops = [(x - 0.13 + 0.26 * k / 24, y - 0.02 * abs(sin(k * pi / 6))) for k in range(25)]
        canvas.polygon([*dome, *scallops], (130, 60, 170))
        canvas.polygon([*dome[10:20], (x, y)], (160, 96, 200))
        return canvas.finished()

    return paint


def lighthouse(size: Size) -> Painter:
    """A lighthouse whose beam sweeps over the sea at dusk."""
    dusk = Canvas(size)
    dusk.gradient(
        [(0, (44, 36, 84)), (0.4, (160, 84, 120)), (0.6, (244, 150, 104)), (0.62, (60, 70, 120)), (1, (22, 30, 66))]
    )
    dusk.polygon([(0.6, 0.78), (0.68, 0.7), (0.84, 0.68), (1, 0.74), (1, 1), (0.55, 1)], (40, 36, 52))

    def paint(moment: float) -> Image:
        canvas = Canvas(size, dusk.image)
        for row in range(9):
            y = 0.65 + 0.04 * row
            wave = [(k / 20, y + 0.006 * sin(k * 1.3 + moment * 14 + row * 2)) for k in range(21)]
            canvas.line(wave, (150, 140, 180), 0.005, 90)
        lamp = (0.77, 0.27)
        turn = pi * (0.86 + 0.34 * moment)
        for spread, alpha in [(0.16, 40), (0.1, 60), (0.05, 90)]:
            far = [(lamp[0] + 1.2 * cos(turn + s), lamp[1] - 1.2 * sin(turn + s)) for s in (-spread, spread)]
            canvas.polygon([lamp, *far], (255, 240, 180), alpha)
        _tower(canvas, lamp)
        canvas.glow(lamp, 0.16, (255, 246, 200), 0.95)
        return canvas.finished()

    return paint


def _tower(canvas: Canvas, lamp: Point) -> None:
    x, y = lamp
    canvas.polygon(
        [(x - 0.035, y + 0.05), (x + 0.035, y + 0.05), (x + 0.055, 0.72), (x - 0.055, 0.72)], (240, 236, 230)
    )
    for band in range(3):
        top = y + 0.1 + band * 0.14
        stripe = [(x - 0.042, top), (x + 0.042, top), (x + 0.047, top + 0.06), (x - 0.047, top + 0.06)]
        canvas.polygon(stripe, (200, 52, 52))
    canvas.rectangle((x - 0.028, y - 0.04), (x + 0.028, y + 0.05), (70, 60, 70))
    canvas.polygon([(x - 0.04, y - 0.04), (x, y - 0.1), (x + 0.04, y - 0.04)], (180, 44, 44))


def leaves(size: Size) -> Painter:
    """Autumn leaves that fall in front of a wooden cabin."""
    autumn = Canvas(size)
    autumn.gradient([(0, (180, 206, 226)), (0.6, (244, 226, 190)), (1, (244, 226, 190))])
    autumn.polygon(ridge(31, 0.62, 0.05), (198, 130, 60))
    autumn.polygon(ridge(32, 0.76, 0.03), (150, 96, 44))
    for x, colour in [(0.12, (214, 110, 40)), (0.28, (230, 150, 50)), (0.9, (200, 80, 40))]:
        autumn.rectangle((x - 0.012, 0.5), (x + 0.012, 0.82), (84, 56, 36))
        for angle in np.linspace(0, 2 * pi, 7):
            autumn.circle((x + 0.05 * cos(angle), 0.42 + 0.08 * sin(angle)), 0.1, colour, 210)
    autumn.rectangle((0.45, 0.56), (0.75, 0.86), (122, 76, 44))
    for row in range(5):
        autumn.line([(0.45, 0.6 + row * 0.055), (0.75, 0.6 + row * 0.055)], (96, 58, 34), 0.006)
    autumn.polygon([(0.41, 0.57), (0.6, 0.38), (0.79, 0.57)], (80, 44, 34))
    autumn.rectangle((0.5, 0.64), (0.58, 0.74), (255, 224, 140))
    autumn.rectangle((0.64, 0.66), (0.7, 0.86), (70, 42, 28))
    falling = np.random.default_rng(5).uniform(0, 1, (26, 4))
    colours: list[Colour] = [(226, 92, 34), (240, 160, 40), (196, 58, 40), (216, 188, 60)]

    def paint(moment: float) -> Image:
        canvas = Canvas(size, autumn.image)
        for number, (start, lane, speed, phase) in enumerate(falling.tolist()):
            y = (start + moment * (0.5 + 0.5 * speed)) % 1.1 - 0.05
            x = lane + 0.03 * sin(moment * 8 + phase * 6)
            turn = moment * 7 + phase * 6
            along, across = (0.024 * cos(turn), 0.024 * sin(turn)), (-0.009 * sin(turn), 0.009 * cos(turn))
            points = [
                (x + along[0], y + along[1]),
                (x + across[0], y + across[1]),
                (x - along[0], y - along[1]),
                (x - across[0], y - across[1]),
            ]
            canvas.polygon(points, colours[number % len(colours)])
        return canvas.finished()

    return paint


def paper_plane(size: Size) -> Painter:
    """A paper plane that loops through pink clouds."""
    evening = Canvas(size)
    evening.gradient([(0, (250, 170, 190)), (0.5, (255, 208, 200)), (1, (180, 170, 230))])
    random = np.random.default_rng(13)
    for x, y, wide in random.uniform(0, 1, (22, 3)).tolist():
        evening.ellipse((x, 0.2 + 0.75 * y), (0.1 + 0.12 * wide, 0.04 + 0.03 * wide), (255, 236, 240), 150)
    evening.soften(0.012)

    def paint(moment: float) -> Image:
        canvas = Canvas(size, evening.image)
        track = [_flight(moment - 0.02 * k) for k in range(1, 14)]
        for number, place in enumerate(track):
            canvas.circle(place, 0.005, (255, 255, 255), 220 - number * 14)
        x, y = _flight(moment)
        ahead = _flight(moment + 0.01)
        turn = float(np.arctan2((ahead[1] - y) * size[1], (ahead[0] - x) * size[0]))
        scale = size[1] / size[0]

        def at(along: float, across: float) -> Point:
            dx, dy = along * cos(turn) - across * sin(turn), along * sin(turn) + across * cos(turn)
            return (x + dx * scale, y + dy)

        canvas.polygon([at(0.12, 0), at(-0.1, -0.075), at(-0.06, 0)], (255, 255, 255))
        canvas.polygon([at(0.12, 0), at(-0.1, 0.075), at(-0.06, 0)], (206, 214, 236))
        canvas.polygon([at(0.12, 0), at(-0.06, 0), at(-0.09, 0.03)], (170, 180, 212))
        return canvas.finished()

    return paint


def _flight(moment: float) -> Point:
    """From left to right with one loop in the middle."""
    loop = 2 * pi * moment
    return 0.08 + 0.84 * moment - 0.1 * sin(loop), 0.52 + 0.24 * cos(loop)
