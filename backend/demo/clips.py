"""Pairs of short H.264 clips for the demo, drawn and encoded on the spot: one good take, one with a defect each."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backend.demo import defects, scenes
from backend.demo.process import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from backend.demo.canvas import Size
    from backend.demo.defects import Defect, Frames
    from backend.demo.process import Processes
    from backend.demo.scenes import Scene

FPS = 24
WORKERS = 2
POLL_S = 0.1
MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two takes on one prompt; `flawed` says which of the two has the defect (or shows the `other` scene)."""

    name: str
    prompt: str
    scene: Scene
    size: Size
    seconds: float
    flawed: int
    defect: Defect | None = None
    other: Scene | None = None


PAIRS = (
    Pair(
        "kite",
        "A red kite flying over a snow mountain, morning light.",
        scenes.kite,
        (640, 368),
        3.5,
        flawed=2,
        defect=defects.noise,
    ),
    Pair(
        "boat",
        "A small boat with a glowing lantern glides across a calm lake at night.",
        scenes.boat,
        (512, 512),
        3.5,
        flawed=1,
        defect=defects.jitter,
    ),
    Pair(
        "balloon",
        "A yellow balloon flying over green hills.",
        scenes.balloon,
        (576, 448),
        3.0,
        flawed=2,
        other=scenes.umbrella,
    ),
    Pair(
        "lighthouse",
        "A lighthouse beam sweeps over the sea at dusk.",
        scenes.lighthouse,
        (640, 368),
        4.0,
        flawed=1,
        defect=defects.blur,
    ),
    Pair(
        "leaves",
        "Autumn leaves fall in front of a wooden cabin.",
        scenes.leaves,
        (576, 448),
        3.5,
        flawed=2,
        defect=defects.colour_shift,
    ),
    Pair(
        "plane",
        "A white paper plane flying through clouds, wide view.",
        scenes.paper_plane,
        (640, 448),
        4.0,
        flawed=1,
        defect=defects.freeze,
    ),
)


def paths(pair: Pair, folder: Path) -> tuple[Path, Path]:
    """Where Video 1 and Video 2 of a pair are."""
    return folder / f"{pair.name}-1.mp4", folder / f"{pair.name}-2.mp4"


def make_clips(folder: Path, processes: Processes, made: Callable[[int], None] = lambda _count: None) -> None:
    """Make the clips that are not there yet, in two processes; `made` is told how many pairs there are.

    Raises:
        ServiceError: a clip could not be made; ends with the reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [pair for pair in PAIRS if not _exist(pair, folder)]
    running = []
    for number in range(WORKERS):
        if names := [pair.name for pair in missing[number::WORKERS]]:
            argv = (sys.executable, "-m", "backend.demo.clips", str(folder), *names)
            running.append(processes.begin(Command(f"Clips {number + 1}", argv, folder / f"clips-{number + 1}.log")))
    while any(one.alive for one in running):
        made(sum(_exist(pair, folder) for pair in PAIRS))
        time.sleep(POLL_S)
    for one in running:
        one.finish(timeout_s=MOST_S)
    made(len(PAIRS))


def _exist(pair: Pair, folder: Path) -> bool:
    return all(path.is_file() for path in paths(pair, folder))


def make_pair(pair: Pair, folder: Path) -> None:
    """Draw and encode both takes of a pair."""
    good = _film(pair.scene, pair)
    flawed = _film(pair.other, pair) if pair.other else good
    if pair.defect:
        flawed = pair.defect(good)
    takes = (flawed, good) if pair.flawed == 1 else (good, flawed)
    for path, frames in zip(paths(pair, folder), takes, strict=True):
        encode(frames, path, pair.size)


def _film(scene: Scene, pair: Pair) -> Frames:
    paint = scene(pair.size)
    count = round(pair.seconds * FPS)
    return [paint(number / (count - 1)) for number in range(count)]


def encode(frames: Frames, path: Path, size: Size) -> None:
    """Write frames as H.264 that every browser plays and starts before the end has arrived."""
    from imageio_ffmpeg import write_frames

    unfinished = path.with_suffix(f".{os.getpid()}.mp4")
    writer: Generator[None, bytes | None, None] = write_frames(
        str(unfinished),
        size,
        fps=FPS,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=["-crf", "23", "-preset", "veryfast", "-threads", "2", "-movflags", "+faststart"],
    )
    writer.send(None)
    for frame in frames:
        writer.send(frame.tobytes())
    writer.close()
    unfinished.replace(path)


def main(folder: Path, names: list[str]) -> None:
    """Make the pairs of these names."""
    for pair in PAIRS:
        if pair.name in names:
            make_pair(pair, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
