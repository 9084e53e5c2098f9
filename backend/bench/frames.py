"""Measures frames against the model card's way of reading them.

Both run in one process on the same pairs of files, in turns, and the better of several tries counts; the numbers that
the frames carry say which of them were the right ones. Times are those of a pair: both videos, all slots.
"""

from __future__ import annotations

import os
import platform
import random
import time
from dataclasses import asdict, dataclass
from math import floor
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL import __version__ as pillow_version

from backend.bench.clips import BY_OPENCV, Shape, has_ffmpeg, make_clip, read_number
from backend.frames import VideoPair
from backend.frames.capture import load_cv2
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from backend.reasoning.contract import Contract

    Rounds = Sequence[Sequence[int]]  # the slots that are asked for in each turn, of both videos

SHORT = Shape(frames=120, width=1280, height=720, fps=24)
LONG = Shape(frames=1800, width=1280, height=720, fps=30)
SHORT_KINDS = (
    *("h264", "h264_short_gop", "hevc", "mpeg4", "vp9", "gif", "fragmented", "vfr_mp4", "open_gop_ts"),
    *("vfr_mkv", "sparse_mkv", "cut", "truncated_webm", "truncated_mp4", "live_webm"),
)
LONG_KINDS = ("h264", "h264_short_gop", "mpeg4", "vfr_mp4", "vfr_mkv", "open_gop_ts", "cut")
PATIENCE = 200
MANY_SLOTS, MANY_TARGET, TARGET = 48, 6.0, 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of files and one conversation's worth of frames: our figures beside the card's.

    `seconds` are by the clock, `cpu_seconds` of all threads together. Of the `shown` frames, `exact` were right.
    """

    clip: str
    frames: int
    turns: int
    shown: int
    exact: int
    card_exact: int
    seconds: float
    card_seconds: float
    cpu_seconds: float
    card_cpu_seconds: float

    @property
    def ratio(self) -> float:
        """How many times faster than the card's way, by the clock."""
        return self.card_seconds / self.seconds

    @property
    def target(self) -> float:
        """What the ratio should be at least."""
        return MANY_TARGET if self.shown >= 2 * MANY_SLOTS and self.frames <= SHORT.frames else TARGET


@dataclass(frozen=True, slots=True)
class FramesBench:
    """All rows, and the machine they were measured on."""

    machine: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def exact(self) -> bool:
        """Whether every frame was the right one."""
        return all(row.exact == row.shown for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Everything, the derived figures too."""
        rows = [asdict(row) | {"ratio": row.ratio, "target": row.target} for row in self.rows]
        return {"machine": dict(self.machine), "rows": rows}


def bench_frames(
    clips: Mapping[str, Path],
    slots: Sequence[int] = (4, 48),
    *,
    conversation: bool = True,
    contract: Contract = VRTHINKER_128,
    repeats: int = 3,
    observe: Callable[[str], None] = lambda _text: None,
) -> FramesBench:
    """Measure each numbered clip, paired with itself, for each number of `slots`, spread evenly and asked for at once.

    With `conversation` also for six turns: the initial slots, then five calls for as many as a call may ask for.
    `observe` is told which clip is next.

    Raises:
        MediaError: a clip has no readable frame.
    """
    work: list[Rounds] = [(spread(count, contract),) for count in slots]
    if conversation:
        chance = random.Random(7)  # noqa: S311  # a conversation that is the same every time
        calls = [sorted(chance.sample(range(contract.slots), contract.max_indices)) for _ in range(5)]
        work.append((contract.initial_slots(), *calls))
    before, rows = machine(), []
    for name, path in clips.items():
        observe(name)
        rows += [_measure(name, path, rounds, contract, repeats) for rounds in work]
    return FramesBench(before, tuple(rows))


def spread(count: int, contract: Contract) -> tuple[int, ...]:
    """So many slots, evenly over the grid, as the contract spreads its initial ones."""
    return tuple(floor(contract.slots * (k + 0.5) / count) for k in range(count))


def _measure(name: str, path: Path, rounds: Rounds, contract: Contract, repeats: int) -> Row:
    numbers = numbers_of(path)  # also brings the file into memory, for both ways alike
    right = [numbers[grid_index(slot, len(numbers), contract.slots)] for slots in rounds for slot in (*slots, *slots)]
    card = [_timed(card_pictures, path, rounds, contract)]
    ours = [_timed(our_pictures, path, rounds, contract)]
    for _ in range(repeats - 1):
        card.append(_timed(card_pictures, path, rounds, contract))
        ours.append(_timed(our_pictures, path, rounds, contract))
    return Row(
        clip=name,
        frames=len(numbers),
        turns=len(rounds),
        shown=len(right),
        exact=min(run.exact(right) for run in ours),
        card_exact=min(run.exact(right) for run in card),
        seconds=min(run.seconds for run in ours),
        card_seconds=min(run.seconds for run in card),
        cpu_seconds=min(run.cpu_seconds for run in ours),
        card_cpu_seconds=min(run.cpu_seconds for run in card),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    pictures: Sequence[Image.Image | None]
    seconds: float
    cpu_seconds: float

    def exact(self, right: Sequence[int | None]) -> int:
        """How many pictures carry the right number."""
        shown = (picture and read_number(picture) for picture in self.pictures)
        return sum(number is not None and number == one for number, one in zip(shown, right, strict=True))


def _timed(
    way: Callable[[Path, Rounds, Contract], Sequence[Image.Image | None]],
    path: Path,
    rounds: Rounds,
    contract: Contract,
) -> _Run:
    started, cpu = time.perf_counter(), time.process_time()
    pictures = way(path, rounds, contract)
    return _Run(pictures, time.perf_counter() - started, time.process_time() - cpu)


def numbers_of(path: Path) -> list[int | None]:
    """The number on every frame that can be decoded, by reading the file front to back and nothing else."""
    cv2 = load_cv2()
    file = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found: list[int | None] = []
    failures = 0
    while failures < PATIENCE:  # after a damaged one, frames that the decoder held back still come
        readable, frame = file.read()
        failures = 0 if readable else failures + 1
        if readable:
            found.append(read_number(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))))
    file.release()
    return found


def our_pictures(path: Path, rounds: Rounds, contract: Contract) -> list[Image.Image | None]:
    """Video 1's, then Video 2's pictures of each turn, by `VideoPair`."""
    turns = [[FrameRef(1, slot) for slot in slots] + [FrameRef(2, slot) for slot in slots] for slots in rounds]
    with VideoPair.open(path, path, contract, wanted=turns[0]) as pair:
        return [frame.image for refs in turns for frame in pair.frames(refs)]


def card_pictures(path: Path, rounds: Rounds, contract: Contract) -> list[Image.Image | None]:
    """The same as the model card's loop gets them: for each index the file is opened, sought and read once."""
    return [card_picture(path, slot, contract) for slots in rounds for slot in (*slots, *slots)]


def card_picture(path: Path, slot: int, contract: Contract) -> Image.Image | None:
    """One index: open, seek, read, resize; None for what it would drop silently."""
    cv2 = load_cv2()
    file = cv2.VideoCapture(str(path))
    total = int(file.get(cv2.CAP_PROP_FRAME_COUNT))
    index = min(floor(slot / contract.slots * total), total - 1)
    file.set(cv2.CAP_PROP_POS_FRAMES, max(index, 0))
    readable, frame = file.read()
    file.release()
    if not readable:
        return None
    return Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).resize(contract.image_size)


def machine() -> dict[str, str]:
    """What the figures depend on: processor, cores, load, versions."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "opencv": load_cv2().__version__,
        "pillow": pillow_version,
    }


def suite(folder: Path, *, long: bool = True) -> dict[str, Path]:
    """Numbered clips of every kind: 5 s, and 60 s of some, made in `folder` where they are not there yet.

    Without ffmpeg only of the kinds that OpenCV can write.
    """
    shapes = [(SHORT, SHORT_KINDS), (LONG, LONG_KINDS if long else ())]
    possible = {kind for _, kinds in shapes for kind in kinds if kind in BY_OPENCV or has_ffmpeg()}
    return {
        f"{kind}, {shape.frames // shape.fps} s": make_clip(kind, folder, shape)
        for shape, kinds in shapes
        for kind in kinds
        if kind in possible
    }
