"""Measures frames against the model card's way of reading them: `python -m backend.bench.frames [--json FILE]`.

Both run in one process on the same pairs of files, in turns, and the better of several tries counts; the numbers that
the frames carry say which of them were the right ones. Times are those of a pair: both videos, all slots.
"""

from __future__ import annotations

import json
import os
import platform
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from PIL import Image
from PIL import __version__ as pillow_version

from backend.bench.clips import Shape, make_clip, read_number
from backend.frames import VideoPair
from backend.frames.capture import load_cv2
from backend.reasoning.contract import VRTHINKER_128, grid_index
from backend.types import FrameRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table

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


def bench_frames(
    clips: Mapping[str, Path],
    slots: Sequence[int] = (4, 48),
    *,
    conversation: bool = True,
    contract: Contract = VRTHINKER_128,
    repeats: int = 3,
) -> FramesBench:
    """Measure each numbered clip, paired with itself, for each number of `slots`, spread evenly and asked for at once.

    With `conversation` also for six turns: the initial slots, then five calls for as many as a call may ask for.

    Raises:
        MediaError: a clip has no readable frame.
    """
    work: list[Rounds] = [(spread(count, contract),) for count in slots]
    if conversation:
        chance = random.Random(7)  # noqa: S311  # a conversation that is the same every time
        calls = [sorted(chance.sample(range(contract.slots), contract.max_indices)) for _ in range(5)]
        work.append((contract.initial_slots(), *calls))
    rows = tuple(_measure(name, path, rounds, contract, repeats) for name, path in clips.items() for rounds in work)
    return FramesBench(machine(), rows)


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
    return [_card_picture(path, slot, contract) for slots in rounds for slot in (*slots, *slots)]


def _card_picture(path: Path, slot: int, contract: Contract) -> Image.Image | None:
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

    Raises:
        VRThinkerError: there is no ffmpeg to make them with.
    """
    shapes = [(SHORT, SHORT_KINDS), (LONG, LONG_KINDS if long else ())]
    return {
        f"{kind}, {shape.frames // shape.fps} s": make_clip(kind, folder, shape)
        for shape, kinds in shapes
        for kind in kinds
    }


def table(bench: FramesBench) -> Table:
    """The rows for people."""
    from rich.table import Table

    title = "Frames against the card's way, " + ", ".join(f"{name} {value}" for name, value in bench.machine.items())
    columns = ("clip", "frames", "turns", "pictures", "exact", "card exact", "s", "card s", "ratio", "CPU ratio", "")
    shown = Table(*columns, title=title)
    for row in bench.rows:
        times = (f"{row.seconds:.3f}", f"{row.card_seconds:.3f}", f"{row.ratio:.1f}")
        exact = (f"{row.exact / row.shown:.0%}", f"{row.card_exact / row.shown:.0%}")
        mark = "" if row.ratio >= row.target else f"< {row.target:g}"
        counts = (str(row.frames), str(row.turns), str(row.shown))
        shown.add_row(row.clip, *counts, *exact, *times, f"{row.card_cpu_seconds / row.cpu_seconds:.1f}", mark)
    return shown


def main(
    json_file: Annotated[Path | None, typer.Option("--json", help="Save the figures here too.")] = None,
    clips: Annotated[Path | None, typer.Option(help="Keep the test clips here, for the next time.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Without the clips of 60 s.")] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Tries per figure; the best counts.")] = 3,
) -> None:
    """Measure and print; ends with 1 when a frame was not the right one."""
    from rich.console import Console

    with tempfile.TemporaryDirectory() as scratch:
        folder = clips or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        bench = bench_frames(suite(folder, long=not short), repeats=repeats)
    Console().print(table(bench))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(bench), indent=1) + "\n")
    raise typer.Exit(0 if all(row.exact == row.shown for row in bench.rows) else 1)


if __name__ == "__main__":
    typer.run(main)
