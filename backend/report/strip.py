"""A pair's videos as two strips of small frames, or the reason why they cannot be had."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from backend.errors import TaskError
from backend.reasoning.contract import VRTHINKER_128
from backend.types import FrameRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.jobs.judging import Fetcher
    from backend.types import Clip, Frame, PairwiseTask, VideoNumber

FRAMES = 6
HEIGHT = 84  # pixels
WIDEST = 2.4  # as many times as high: a panorama is squeezed rather than let run off the page
QUALITY = 72
SLOTS = tuple(round((n + 0.5) * VRTHINKER_128.slots / FRAMES) for n in range(FRAMES))
NUMBERS: tuple[VideoNumber, VideoNumber] = (1, 2)


@dataclass(frozen=True, slots=True)
class Strips:
    """JPEG pictures of Video 1 and 2 as data URIs; empty where `problem` says why."""

    pictures: Sequence[str] = ()
    problem: str = ""


def strips_of(task: PairwiseTask, fetcher: Fetcher) -> Strips:
    """Six frames of each video, evenly spaced in time."""
    from backend.frames import VideoPair

    try:
        with ExitStack() as opened:
            one = opened.enter_context(fetcher.fetch(task.video1, task.task))
            two = opened.enter_context(fetcher.fetch(task.video2, task.task))
            wanted = [FrameRef(number, slot) for number in NUMBERS for slot in SLOTS]
            pair = opened.enter_context(VideoPair.open(one, two, VRTHINKER_128, wanted=wanted))
            frames = pair.frames(wanted)
            return Strips(
                tuple(_strip([f for f in frames if f.ref.video == n], pair.clips[n - 1]) for n in NUMBERS),
            )
    except TaskError as error:
        return Strips(problem=f"No pictures: {error}")


def _strip(frames: Sequence[Frame], clip: Clip) -> str:
    from PIL import Image

    width = round(HEIGHT * min(WIDEST, max(1 / WIDEST, clip.width / clip.height)))
    strip = Image.new("RGB", (width * len(frames), HEIGHT))
    for place, frame in enumerate(frames):
        strip.paste(frame.image.resize((width, HEIGHT)), (place * width, 0))
    file = BytesIO()
    strip.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
